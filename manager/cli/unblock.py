"""`thwart unblock`: lifts every block of an address."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import options
from shared import command_line


@click.command("unblock")
@click.argument("address")
@click.option("--reason", default="", help="A sentence that is kept with the order.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait up to 5 s for the agents' answers.")
@command_line.output
@options.api
@click.pass_context
def command(
    ctx: click.Context,
    address: str,
    reason: str,
    wait: bool,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Lift every block of ADDRESS, wherever it is in force or on its way.

    What was counted of it is forgotten, so that its next log line does not bring the block back. Ends with 0 also
    when there was nothing to lift.

    \b
    Examples:
      thwart unblock 203.0.113.9
      thwart unblock 2001:db8::9 --reason "a customer's"
    """
    from manager.api.bodies import Given, NewUnblock
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
