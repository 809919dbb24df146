"""`thwart manager`: runs the daemon."""

from pathlib import Path

import click

DEFAULT = Path("/etc/thwart/manager.toml")


@click.command("manager")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Settings, TOML.  [default: {DEFAULT} if there is one]",
)
def command(config: Path | None) -> None:
    """Run the manager: correlate what agents log, order blocks, hear the answers.

    The broker need not be there yet, and may go and come. SIGTERM stops it; blocks stay in force and end on time.
    Every setting can be given in the environment too, as THWART_<SECTION>_<KEY>.

    \b
    Examples:
      thwart manager --config manager.toml
      THWART_BROKER_URLS=amqp://user:password@broker:5672/ thwart manager
    """
    import asyncio

    from manager import app
    from shared import log
    from shared.settings import ManagerSettings, load

    settings = load(ManagerSettings, config or (DEFAULT if DEFAULT.exists() else None))
    log.configure(settings.log)
    asyncio.run(app.run(settings))
