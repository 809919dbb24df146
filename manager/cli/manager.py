"""`thwart manager`: runs the daemon."""

from pathlib import Path

import click

from shared import command_line

DEFAULT = Path("/etc/thwart/manager.toml")


@click.command("manager")
@command_line.config(DEFAULT)
@command_line.test
@click.pass_context
def command(ctx: click.Context, config: Path | None, test: bool) -> None:
    """Run the manager: correlate what agents log, order blocks, hear the answers.

    The broker need not be there yet, and may go and come. SIGTERM stops it; blocks stay in force and end on time.
    SIGHUP reads ossec.conf and the rules anew, whole or not at all; `thwart check-config` says before what is wrong.
    Every setting can be given in the environment too, as THWART_<SECTION>_<KEY>.

    \b
    Examples:
      thwart manager --config manager.toml
      thwart manager -t
      THWART_BROKER_URLS=amqp://user:password@broker:5672/ thwart manager
    """
    if test:
        ctx.exit(_test(config))

    import signal

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it is heeded: it asks for what a start does anyway

    import asyncio

    from manager import app
    from shared import log
    from shared.settings import ManagerSettings, load

    settings = load(ManagerSettings, config)
    log.configure(settings.log)
    asyncio.run(app.run(settings))


def _test(config: Path | None) -> int:
    from manager.cli import reports
    from manager.rehearsal import rehearse
    from shared.settings import ManagerSettings, load

    report = rehearse(load(ManagerSettings, config))
    reports.as_table(report)
    click.echo(f"settings: {config or 'no file'}, in order")
    return 2 if report.errors else 0
