"""`thwart allow`: whom nothing may be done to."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from manager.cli import addresses, options
from shared import command_line

if TYPE_CHECKING:
    from manager.api.bodies.allow import AllowChanged, AllowChecked


@click.group("allow", cls=command_line.Noun)
def command() -> None:
    """Addresses and networks that are never blocked, on top of <white_list> in ossec.conf. Alone it lists."""


@command.command("add")
@click.argument("network")
@click.option("--reason", default="", help="A sentence that whoever is refused a block of it will read.")
@click.option("--for", "span", metavar="TIME", help="90, 10m, 2h, 1d; then off the list.  [default: until removed]")
@command_line.output
@options.api
def add(
    network: str, reason: str, span: str | None, output: Literal["table", "json"], api: str, token_file: Path
) -> None:
    """Put NETWORK, an address or a CIDR, on the list, and lift every block that overlaps it.

    Agents refuse blocks of it as soon as they hear of it, and lift what they have of it by themselves; one that is
    away does so when it is back. Orders of a response with <white_list_exempt> stay. What is on the list already stays
    until the later of the two ends; to shorten it, remove it first.

    \b
    Examples:
      thwart allow add 198.51.100.7 --reason "the monitoring"
      thwart allow add 2001:db8:7::/48
      thwart allow add 203.0.113.9 --for 2h
    """
    network, keep = addresses.network_of(network), addresses.span_of(span, hint="--for")

    from manager.api.bodies.allow import AllowChanged, NewAllow
    from manager.client import Client, request_id

    with Client(api, token_file) as client:
        wish = NewAllow(request_id=request_id(), network=network, reason=reason, keep=keep)
        changed = client.post("/v1/allow", wish, AllowChanged)
    _report(changed, f"{changed.network} is on the allowlist", output)


@command.command("remove")
@click.argument("network")
@command_line.output
@options.api
def remove(network: str, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Take NETWORK off the list, as it was added. What <white_list> in ossec.conf names is taken out there.

    \b
    Example:
      thwart allow remove 198.51.100.7
    """
    network = addresses.network_of(network)

    from manager.api.bodies.allow import AllowChanged
    from manager.client import Client

    with Client(api, token_file) as client:
        changed = client.delete("/v1/allow", AllowChanged, network=network)
    _report(changed, f"{changed.network} is off the allowlist", output)


@command.command("list")
@command_line.output
@options.api
def list_(output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """List what is protected, why, and where that comes from; and the agents that don't know of it yet.

    Each agent also protects loopback, its own addresses, its gateway and resolvers, the broker, and what its own
    setting `agent.allow` says.

    \b
    Examples:
      thwart allow list
      thwart allow list -o json
    """
    from manager.api.bodies.allow import AllowListing
    from manager.cli.shows.allow import print_allowed
    from manager.cli.shows.table import as_json
    from manager.client import Client

    with Client(api, token_file) as client:
        found = client.get("/v1/allow", AllowListing)
    as_json(found) if output == "json" else print_allowed(found.entries)
    if found.behind:
        click.echo(f"not heard to have this list yet: {', '.join(found.behind)}", err=True)


@command.command("check")
@click.argument("address")
@click.option("--agent", metavar="ID", help="Also by what is known of this agent.")
@command_line.output
@options.api
def check(address: str, agent: str | None, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Say whether ADDRESS, or a CIDR, is protected, by which entry, and why.

    A network is protected when it holds anybody who is, or lies in a network that is.

    \b
    Examples:
      thwart allow check 203.0.113.9
      thwart allow check 203.0.113.0/24 --agent web1
    """
    address = addresses.network_of(address, hint="ADDRESS")

    from manager.api.bodies.allow import AllowChecked
    from manager.cli.shows.table import as_json
    from manager.client import Client

    with Client(api, token_file) as client:
        found = client.get("/v1/allow/check", AllowChecked, address=address, agent=agent)
    as_json(found) if output == "json" else _explain(found)


def _report(changed: "AllowChanged", opening: str, output: Literal["table", "json"]) -> None:
    from manager.cli.shows.table import as_json
    from manager.cli.shows.words import place

    for note in changed.notes:
        click.echo(f"note: {note}", err=True)
    if output == "json":
        as_json(changed)
        return
    click.echo(opening)
    for order in changed.lifted:
        where = place(order.location, order.agents)
        click.echo(f"lifting {order.action} {order.target} on {where} (order {order.id[: command_line.SHORT]})")


def _explain(found: "AllowChecked") -> None:
    from shared.tables import plain

    target, agent = found.target, found.agent
    reasons = [f"by {each.network} ({each.reason or 'no reason given'})" for each in found.entries]
    reasons = [f"{why}, {_origin(each.source, each.issuer)}" for why, each in zip(reasons, found.entries, strict=True)]
    reasons += [f"anyway: {found.never}"] if found.never else []
    reasons += [f"on {agent.id} by {own}, its own address" for own in agent.own] if agent else []
    for why in reasons:
        click.echo(plain(f"{target} is protected {why}"))
    if not reasons:
        click.echo(f"{target} is not protected")
    if agent:
        click.echo(_known_of(agent.id, agent.state, current=agent.current), err=True)


def _origin(source: str, issuer: str) -> str:
    return f"from {source}" if source else f"added by {issuer}"


def _known_of(agent_id: str, state: str, *, current: bool) -> str:
    has = "has this list" if current else "has another version of this list and will be told"
    also = "its gateway, resolvers, the broker and its agent.allow are protected there too, and known to it alone"
    return f"{agent_id} is {state} and {has}; {also}"
