"""`thwart orders`: what was ordered, and what became of it."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import completing, options
from shared import command_line

_STATES = [
    *("unsent", "waiting", "overdue", "unroutable", "applied", "unchanged"),
    *("lifted", "simulated", "refused", "stale", "failed", "ended", "withdrawn", "on-hold", "not-approved"),
]

MOST_OTHERS = 200  # orders on the same target that are looked at for whether they extend one


@click.group("orders", cls=command_line.Noun)
def command() -> None:
    """What was ordered, and what became of it. `thwart orders` alone lists, also with options: `--on-hold`."""


@command.command("list")
@click.option(
    "--state",
    type=click.Choice(_STATES),
    metavar="STATE",
    help=f"Only orders in this state: {', '.join(_STATES)}.",
)
@click.option("--on-hold", is_flag=True, help="Only orders that wait for a person: short for --state on-hold.")
@click.option("--target", metavar="ADDRESS", shell_complete=completing.blocked, help="Only orders on this address.")
@click.option("--agent", metavar="ID", shell_complete=completing.agents, help="Only orders that are for this agent.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@command_line.output
@options.api
def list_(
    state: str | None,
    on_hold: bool,
    target: str | None,
    agent: str | None,
    limit: int,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """List orders, newest first.

    An order is in the state of the agent that needs most looking after: `overdue` when a living agent has not
    answered in time.

    \b
    Examples:
      thwart orders list --state overdue
      thwart orders --on-hold --limit 1000
      thwart orders list --target 203.0.113.9 -o json
    """
    from manager.api.bodies.orders import Orders
    from manager.cli.shows.orders import print_orders
    from manager.cli.shows.table import as_json
    from manager.client import Client

    state = "on-hold" if on_hold else state
    with Client(api, token_file) as client:
        found = client.get("/v1/orders", Orders, state=state, target=target, agent=agent, limit=limit).orders
    as_json(found) if output == "json" else print_orders(found)


@command.command("show")
@click.argument("order_id", metavar="ID", type=options.ORDER, shell_complete=completing.orders)
@command_line.output
@options.api
def show(order_id: str, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Show one order in time: from the log line over each agent's answer to the end. ID may be the beginning of one.

    \b
    Examples:
      thwart orders show 3f2a9c
      thwart orders show 3f2a9c -o json | jq '.timeline[] | [.at, .what, .who, .text]'
    """
    from urllib.parse import quote

    from manager.api.bodies.orders import Orders
    from manager.cli.shows.story import Related, print_story, timed
    from manager.cli.shows.table import as_json
    from manager.client import Client
    from manager.ledger.views import OrderStory

    with Client(api, token_file) as client:
        story = client.get(f"/v1/orders/{quote(order_id, safe='')}", OrderStory)
        lifted_by, target = story.view.lifted_by, story.view.target
        lift = client.get(f"/v1/orders/{lifted_by}", OrderStory) if lifted_by else None
        others = client.get("/v1/orders", Orders, target=target, limit=MOST_OTHERS).orders if target else ()
    told = timed(story, Related(lift=lift, others=others))
    as_json(told) if output == "json" else print_story(told)


@command.command("watch")
@click.option("--target", metavar="ADDRESS", shell_complete=completing.blocked, help="Only orders on this address.")
@click.option("--agent", metavar="ID", shell_complete=completing.agents, help="Only orders that are for this agent.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True, help="How many to count.")
@options.api
def watch(target: str | None, agent: str | None, limit: int, api: str, token_file: Path) -> None:
    """Watch orders as they are given, answered and ended, until Ctrl-C.

    On a terminal: how many of the newest orders are in which state, the newest ones, the latest changes. Elsewhere a
    line for each change. `thwart events` is the same for programs.

    \b
    Examples:
      thwart orders watch
      thwart orders watch --agent web1
      thwart orders watch | tee -a watched.txt
    """
    import sys
    from contextlib import suppress

    from manager.cli import watching
    from manager.client import Client

    wanted = watching.Filter(target=target, agent=agent, limit=limit)
    with Client(api, token_file) as client, Client(api, token_file) as ears, suppress(KeyboardInterrupt):
        if sys.stdout.isatty():
            watching.on_terminal(client, ears, wanted)
        else:
            watching.watch(client, ears, watching.Lines(click.echo), wanted)
