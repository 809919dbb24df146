"""`thwart health`: whether the manager lives, and whether it is ready."""

import click

from manager.cli import options
from shared import checkup


@click.command("health")
@options.url
@checkup.options
@click.pass_context
def command(ctx: click.Context, api: str, wanted: str, output: str) -> None:
    """Say whether the manager lives and is ready. Needs no token.

    Live: its loop has turned within 5 s and the ledger can be written. Ready: it is connected to the broker, gives
    orders and hears answers. A broker that is away makes it not ready, never dead. Ends with 0 when it is ready (with
    --live: when it lives), 1 when it isn't, and 3 when nobody listens there.

    \b
    Examples:
      thwart health
      thwart health --live || systemctl restart thwart-manager
      thwart health -o json
    """
    from manager.client import looked_at

    ctx.exit(checkup.show("the manager", looked_at(api), wanted, output))
