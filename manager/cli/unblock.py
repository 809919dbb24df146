"""`thwart unblock`: lifts every block of an address, or of everybody."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import options
from shared import command_line


@click.command("unblock")
@click.argument("address", required=False)
@click.option("--everything", is_flag=True, help="Lift whatever is in force, on hold or on its way, on any target.")
@click.option("--yes", is_flag=True, help="With --everything: don't ask.")
@click.option("--reason", default="", help="A sentence that is kept with the order.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait up to 5 s for the agents' answers.")
@command_line.output
@options.api
@click.pass_context
def command(
    ctx: click.Context,
    address: str | None,
    everything: bool,
    yes: bool,
    reason: str,
    wait: bool,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Lift every block of ADDRESS, wherever it is in force or on its way.

    Blocks of a network around it, or of what lies inside it, stay, and an agent where such a network is blocked says
    so. What was counted of it is forgotten, so that its next log line does not bring the block back. Ends with 0 also
    when there was nothing to lift.

    With --everything it lifts every lasting order that is not over, whoever gave it. What offends afterwards is
    blocked again at once: to prevent that, `thwart pause` first.

    \b
    Examples:
      thwart unblock 203.0.113.9
      thwart unblock 2001:db8::9 --reason "a customer's"
      thwart unblock 203.0.113.0/24
      thwart pause && thwart unblock --everything
    """
    if everything == (address is not None):
        raise click.UsageError("give one ADDRESS, or --everything")
    if address is None:
        _everything(yes, reason, output, api, token_file)
        return

    from manager.api.bodies.blocks import Given, NewUnblock
    from manager.cli import following
    from manager.cli.block import target_of
    from manager.cli.client import Client, request_id

    target = target_of(address)
    with Client(api, token_file) as client:
        wish = NewUnblock(request_id=request_id(), address=target, reason=reason)
        given = client.post("/v1/unblocks", wish, Given)
        following.say(given, f"lifting the block of {target}" if given.orders else f"{target} is not blocked anywhere")
        outcome = following.follow(client, given, wait=wait and bool(given.orders))
    ctx.exit(0 if following.report(outcome, output) else 1)


def _everything(yes: bool, reason: str, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """In turns, until nothing is left that could be lifted."""
    import sys

    from manager.api.bodies.blocks import EverythingLifted, NewUnblockOfEverything
    from manager.cli.client import Client, request_id
    from manager.cli.shows.table import as_json
    from manager.ledger.views import Standstill

    if not yes and not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked; add --yes")
    if not yes:
        click.confirm("Lift every block, of everybody, everywhere?", abort=True, err=True)
    orders = deletes = 0
    after: str | None = ""
    with Client(api, token_file) as client:
        while after is not None:
            wish = NewUnblockOfEverything(request_id=request_id(), reason=reason, after=after)
            lifted = client.post("/v1/unblocks/everything", wish, EverythingLifted)
            orders, deletes, after = orders + lifted.orders, deletes + lifted.deletes, lifted.after
            if after is not None and orders:
                click.echo(f"{orders} so far", err=True)
        paused = client.get("/v1/pause", Standstill).pause is not None
    if output == "json":
        as_json(EverythingLifted(orders=orders, deletes=deletes, after=None))
    else:
        what = f"lifting {orders} order{'' if orders == 1 else 's'}" if orders else "there is nothing to lift"
        click.echo(f"{what}; `thwart blocks` shows what is still in force")
    if not paused:
        click.echo("note: what offends from now on is blocked again; to prevent that, `thwart pause` first", err=True)
