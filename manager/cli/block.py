"""`thwart block`: orders a block by hand, or thousands."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

import click

from manager.cli import addresses, options, placing
from shared import command_line

if TYPE_CHECKING:
    from manager.api.bodies.blocks import NewBlock, Terms
    from manager.client import Client


@click.command("block")
@click.argument("address", required=False)
@placing.terms("the manager's, 4h")
@options.many
@command_line.output
@options.api
@click.pass_context
def command(
    ctx: click.Context,
    address: str | None,
    said: placing.Said,
    file: TextIO | None,
    skip_bad: bool,
    request_id: str | None,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Block ADDRESS, an IPv4 or IPv6 address or network (CIDR), or every one in a file.

    Without a place it is blocked on all agents and manager hosts. What is protected is refused, and so is a network
    with anything protected in it. Blocks of a network and of what lies inside it end each on its own. Ends with 0
    when no agent said no, 1 when one did or the manager refused, 2 for wrong usage, 3 when the manager can't be
    reached.

    A file has one address a line; `#` begins a comment. With a line that is no address nothing is done, unless
    --skip-bad says so. No breaker holds back what a person orders. Nobody's answer is waited for; `thwart orders
    --state waiting` shows what is still to come. A run that was cut off goes on with the --request-id that it printed.

    \b
    Examples:
      thwart block 203.0.113.9
      thwart block 203.0.113.9 --for 10m --reason "ticket 4711"
      thwart block 203.0.113.0/24 --for 1h
      thwart block 203.0.113.9 --agent web1 --agent web2 --for 1d
      thwart block 2001:db8::9 --server --for forever
      thwart block 203.0.113.9 --dry-run -o json
      thwart block --file bad-hosts.txt --for 1d --reason "the list of today"
      grep -v ^# list.txt | thwart block --file - -o json
    """
    if (address is None) == (file is None):
        raise click.UsageError("give one ADDRESS, or --file FILE")
    options.check_many(file is not None, skip_bad)
    target = addresses.target_of(address) if address is not None else ""

    from msgspec import UNSET

    from manager import client
    from manager.api.bodies.blocks import Terms

    terms = Terms(
        request_id=request_id or client.request_id(),
        location=said.location or "all",
        agents=said.agents,
        timeout=UNSET if said.timeout is None else said.timeout,
        reason=said.reason,
        dry_run=said.dry_run,
    )
    with client.Client(api, token_file) as http:
        if file is None:
            done = _one(http, target, terms, said.wait, output)
        else:
            done = _many(http, file, skip_bad, terms, output)
    ctx.exit(0 if done else 1)


def _one(http: "Client", target: str, terms: "Terms", wait: bool, output: Literal["table", "json"]) -> bool:
    from msgspec.structs import asdict

    from manager.api.bodies.blocks import Given, NewBlock

    wish = NewBlock(address=target, **asdict(terms))
    given = http.post("/v1/blocks", wish, Given)
    return placing.report(http, given, _opening(given.orders[0].timeout, wish), wait=wait, output=output)


def _many(http: "Client", file: TextIO, skip_bad: bool, terms: "Terms", output: Literal["table", "json"]) -> bool:
    from msgspec.structs import asdict

    from manager.api.bodies.blocks import GivenMany, NewBlocks
    from manager.cli import many

    good, bad = many.lines_of(file, skip_bad=skip_bad)

    def part(some: Sequence[str]) -> GivenMany:
        return http.post("/v1/blocks/many", NewBlocks(addresses=tuple(some), **asdict(terms)), GivenMany)

    done = "only tried" if terms.dry_run else "ordered"
    return many.report(many.send(good, bad, terms.request_id, part), "block", done, output)


def _opening(timeout: float | None, wish: "NewBlock") -> str:
    from manager.cli.shows.words import place
    from shared import durations

    span = "for ever, until it is lifted" if timeout is None else f"for {durations.words(timeout)}"
    word = "only trying to block" if wish.dry_run else "blocking"
    return f"{word} {wish.address} on {place(wish.location, wish.agents)} {span}"
