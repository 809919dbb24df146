"""`thwart health`: whether the manager lives, and whether it is ready."""

from pathlib import Path

import click

from manager.cli import options
from shared import checkup


@click.command("health")
@options.api
@checkup.options
@click.pass_context
def command(ctx: click.Context, api: str, token_file: Path, wanted: str, output: str) -> None:
    """Say whether the manager lives and is ready. Needs no token; with one it says more.

    Live: its loop has turned within 5 s and the ledger can be written. Ready: it is connected to the broker, gives
    orders and hears answers. A broker that is away makes it not ready, never dead. Ends with 0 when it is ready (with
    --live: when it lives), 1 when it isn't, and 3 when no manager listens there.

    Where the token can be read it also says what is kept back and by what (a pause, breakers), what is unsent, and what
    was wrong with a configuration that was refused. None of that makes it less ready. Not with --live.

    \b
    Examples:
      thwart health
      thwart health --live || systemctl restart thwart-manager
      thwart health -o json
    """
    from dataclasses import replace

    from manager.client import looked_at

    found = looked_at(api)
    if found.live and wanted != "live":
        found = replace(found, notes=_notes(api, token_file))
    ctx.exit(checkup.show("the manager", found, wanted, output))


def _notes(api: str, token_file: Path) -> tuple[str, ...]:
    """None without a token that the manager knows: whoever may not see more has the rest all the same."""
    from manager.api.bodies.health import Health
    from manager.cli.shows.health import notes
    from manager.client import Client
    from shared.errors import ApiError, SettingsError

    try:
        with Client(api, token_file, limit=checkup.PATIENCE) as client:
            return tuple(notes(client.get("/v1/health", Health)))
    except (ApiError, SettingsError):
        return ()
