"""`thwart unblock`: lifts what is in force on an address or a name, or on everybody."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

import click

from manager.cli import addresses, completing, options
from shared import command_line

if TYPE_CHECKING:
    from manager.api.bodies.blocks import NewUnblock
    from manager.client import Client


@click.command("unblock")
@click.argument("target", required=False, shell_complete=completing.blocked)
@click.option("--everything", is_flag=True, help="Lift whatever is in force, on hold or on its way, on any target.")
@click.option("--yes", is_flag=True, help="With --everything: don't ask.")
@click.option("--reason", default="", help="A sentence that is kept with the order.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait up to 5 s for the agents' answers.")
@click.option("--keep", metavar="TIME", help="Also keep it unblocked for so long: 90, 10m, 2h, 1d.")
@options.many
@command_line.output
@options.api
@click.pass_context
def command(
    ctx: click.Context,
    target: str | None,
    everything: bool,
    yes: bool,
    reason: str,
    wait: bool,
    keep: str | None,
    file: TextIO | None,
    skip_bad: bool,
    request_id: str | None,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Lift every block of TARGET, wherever it is in force or on its way; or of every address in a file.

    TARGET is an address or network (CIDR), or the name that an order acted on: an account that is locked, or what a
    script was told. Whatever action keeps it is ended.

    Blocks of a network around it, or of what lies inside it, stay, and an agent where such a network is blocked says
    so. What was counted of it is forgotten, so that its next log line does not bring the block back. Ends with 0 also
    when there was nothing to lift.

    With --keep it is on the allowlist for so long, and then off it by itself: nothing blocks it, and what covered it is
    lifted as well. Without it the next offence blocks it again.

    With --everything it lifts every lasting order that is not over, whoever gave it. What offends afterwards is
    blocked again at once: to prevent that, `thwart pause` first.

    \b
    Examples:
      thwart unblock 203.0.113.9
      thwart unblock 2001:db8::9 --reason "a customer's"
      thwart unblock 203.0.113.0/24
      thwart unblock alice
      thwart unblock 203.0.113.9 --keep 1h --reason "they are mending it"
      thwart unblock --file list.txt
      thwart pause && thwart unblock --everything
    """
    if everything + (target is not None) + (file is not None) != 1:
        raise click.UsageError("give one TARGET, or --file FILE, or --everything")
    if everything and request_id is not None:
        raise click.UsageError("--request-id is for one TARGET or --file; --everything can be given again as it is")
    options.check_many(file is not None, skip_bad)
    name, kept = _one_of(target, keep)
    if everything:
        _everything(yes, reason, output, api, token_file)
        return

    from manager import client
    from manager.api.bodies.blocks import NewUnblock

    one = request_id or client.request_id()
    with client.Client(api, token_file) as http:
        if file is None:
            done = _one(http, NewUnblock(request_id=one, address=name, reason=reason, keep=kept), wait, output)
        else:
            done = _many(http, file, skip_bad, one, reason, output)
    ctx.exit(0 if done else 1)


def _one_of(target: str | None, keep: str | None) -> tuple[str, float | None]:
    """The one target that was named, and the seconds for which it is kept unblocked."""
    if target is None:
        if keep is not None:
            raise click.UsageError("--keep is for one address; for many, `thwart allow add` a network that holds them")
        return "", None
    kept = addresses.span_of(keep, hint="--keep")
    # the allowlist has no names
    return (addresses.any_target_of if kept is None else addresses.target_of)(target), kept


def _one(http: "Client", wish: "NewUnblock", wait: bool, output: Literal["table", "json"]) -> bool:
    from manager.api.bodies.blocks import Given
    from manager.cli import following
    from shared import durations

    given = http.post("/v1/unblocks", wish, Given)
    following.say(given, _opening(wish.address, lifting=bool(given.orders)))
    if wish.keep:
        click.echo(f"nothing blocks {wish.address} for {durations.words(wish.keep)}; see `thwart allow list`", err=True)
    return following.report(following.follow(http, given, wait=wait and bool(given.orders)), output)


def _opening(target: str, *, lifting: bool) -> str:
    from shared.targets import names_address

    if lifting:
        return f"lifting the block of {target}" if names_address(target) else f"lifting what is in force on {target}"
    return f"{target} is not blocked anywhere{addresses.advice_on_host(target)}"


def _many(
    http: "Client", file: TextIO, skip_bad: bool, request_id: str, reason: str, output: Literal["table", "json"]
) -> bool:
    from manager.api.bodies.blocks import GivenMany, NewUnblocks
    from manager.cli import many

    good, bad = many.lines_of(file, skip_bad=skip_bad)

    def part(some: Sequence[str]) -> GivenMany:
        wish = NewUnblocks(request_id=request_id, addresses=tuple(some), reason=reason)
        return http.post("/v1/unblocks/many", wish, GivenMany)

    return many.report(many.send(good, bad, request_id, part), "lift", "ordered", output)


def _everything(yes: bool, reason: str, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """In turns, until nothing is left that could be lifted."""
    import sys

    from manager.api.bodies.blocks import EverythingLifted, NewUnblockOfEverything
    from manager.cli.shows.table import as_json
    from manager.client import Client, request_id
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
