"""`thwart manager`: runs the daemon."""

from pathlib import Path

import click

from shared import command_line

DEFAULT = Path("/etc/thwart/manager.toml")


@click.command("manager")
@command_line.config(DEFAULT)
def command(config: Path | None) -> None:
    """Run the manager: correlate what agents log, order blocks, hear the answers.

    The broker need not be there yet, and may go and come. SIGTERM stops it; blocks stay in force and end on time.
    SIGHUP reads ossec.conf and the rules anew, whole or not at all; `thwart check-config` says before what is wrong.
    Every setting can be given in the environment too, as THWART_<SECTION>_<KEY>.

    \b
    Examples:
      thwart manager --config manager.toml
      THWART_BROKER_URLS=amqp://user:password@broker:5672/ thwart manager
    """
    import signal

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it is heeded: it asks for what a start does anyway

    import asyncio

    from manager import app
    from shared import log
    from shared.settings import ManagerSettings, load

    settings = load(ManagerSettings, config)
    log.configure(settings.log)
    asyncio.run(app.run(settings))
