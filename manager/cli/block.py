"""`thwart block`: orders a block by hand."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import options
from shared import command_line
from shared.errors import InvalidDuration, InvalidTarget


@click.command("block")
@click.argument("address")
@click.option("--agent", "agents", multiple=True, metavar="ID", help="On this agent; may be repeated.")
@click.option("--server", is_flag=True, help="On the manager hosts.")
@click.option("--all", "everywhere", is_flag=True, help="On all agents and manager hosts.")
@click.option("--for", "span", metavar="TIME", help="90, 10m, 2h, 1d or forever.  [default: the manager's, 4h]")
@click.option("--reason", default="", help="A sentence that is kept with the order.")
@click.option("--dry-run", is_flag=True, help="Go through everything, change nothing.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait up to 5 s for the agents' answers.")
@command_line.output
@options.api
@click.pass_context
def command(
    ctx: click.Context,
    address: str,
    agents: tuple[str, ...],
    server: bool,
    everywhere: bool,
    span: str | None,
    reason: str,
    dry_run: bool,
    wait: bool,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Block ADDRESS, an IPv4 or IPv6 address or network (CIDR).

    Without a place it is blocked on all agents and manager hosts. What is protected is refused, and so is a network
    with anything protected in it. Blocks of a network and of what lies inside it end each on its own. Ends with 0
    when no agent said no, 1 when one did or the manager refused, 2 for wrong usage, 3 when the manager can't be
    reached.

    \b
    Examples:
      thwart block 203.0.113.9
      thwart block 203.0.113.9 --for 10m --reason "ticket 4711"
      thwart block 203.0.113.0/24 --for 1h
      thwart block 203.0.113.9 --agent web1 --agent web2 --for 1d
      thwart block 2001:db8::9 --server --for forever
      thwart block 203.0.113.9 --dry-run -o json
    """
    target, timeout = target_of(address), _timeout(span)
    location = _location(agents, server, everywhere)

    from msgspec import UNSET

    from manager.api.bodies.blocks import Given, NewBlock
    from manager.cli import following
    from manager.cli.client import Client, request_id

    wish = NewBlock(
        request_id=request_id(),
        address=target,
        location=location,
        agents=agents,
        timeout=UNSET if timeout is None else timeout,
        reason=reason,
        dry_run=dry_run,
    )
    with Client(api, token_file) as client:
        given = client.post("/v1/blocks", wish, Given)
        opening = _opening(given.orders[0].timeout, target, location, agents, dry_run)
        following.say(given, f"on hold: {opening}" if given.on_hold else opening)
        outcome = following.follow(client, given, wait=wait and not given.on_hold)
    ctx.exit(0 if following.report(outcome, output) else 1)


def target_of(address: str) -> str:
    """The address or network as orders spell it; what is none is wrong usage."""
    from shared.targets import normalise_address

    try:
        return normalise_address(address)
    except InvalidTarget as error:
        raise click.BadParameter(str(error), param_hint="ADDRESS") from error


def _location(agents: tuple[str, ...], server: bool, everywhere: bool) -> Literal["agent", "server", "all"]:
    if bool(agents) + server + everywhere > 1:
        raise click.UsageError("give one place: --agent, --server or --all")
    if agents or server:
        return "agent" if agents else "server"
    return "all"


def _timeout(span: str | None) -> float | Literal["forever"] | None:
    """Seconds, or None for what the manager is set to."""
    from shared.durations import seconds

    if span is None or span == "forever":
        return "forever" if span else None
    try:
        timeout = seconds(span)
    except InvalidDuration as error:
        raise click.BadParameter(f"{error}, or forever", param_hint="--for") from error
    if not timeout:
        raise click.BadParameter("0 is no time; write forever for a block that stays", param_hint="--for")
    return timeout


def _opening(timeout: float | None, target: str, location: str, agents: tuple[str, ...], dry_run: bool) -> str:
    from manager.cli.shows.orders import place
    from shared import durations

    span = "for ever, until it is lifted" if timeout is None else f"for {durations.words(timeout)}"
    word = "only trying to block" if dry_run else "blocking"
    return f"{word} {target} on {place(location, agents)} {span}"
