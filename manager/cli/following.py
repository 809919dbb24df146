"""Follows orders that were just given until the agents that are here have answered, and says what came of them."""

import time
from collections.abc import Sequence
from typing import Literal

import click
from msgspec import Struct

from manager.api.bodies.agents import Agents
from manager.api.bodies.blocks import Given
from manager.cli.shows.orders import print_answers
from manager.cli.shows.table import as_json
from manager.client import Client
from manager.ledger.views import OrderStory
from shared.command_line import SHORT
from shared.tables import plain

LONGEST = 5.0  # s; who has not answered by then will be heard of in `thwart orders`
PAUSE = 0.05  # s between two looks
OPEN = ("waiting", "overdue")
WRONG = ("failed", "refused", "stale", "unroutable")


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a request, as `-o json` prints it."""

    orders: tuple[OrderStory, ...]
    repeated: bool
    notes: tuple[str, ...]


def follow(client: Client, given: Given, *, wait: bool) -> Outcome:
    """The orders as they stand when every living agent has answered, or time is up. Raises ApiError, Unreachable."""
    end = time.monotonic() + (LONGEST if wait else 0.0)
    living = {each.id for each in client.get("/v1/agents", Agents).agents if each.state == "living"} if wait else set()
    while True:
        stories = tuple(client.get(f"/v1/orders/{order.id}", OrderStory) for order in given.orders)
        if time.monotonic() >= end or not any(_awaited(story, living) for story in stories):
            return Outcome(orders=stories, repeated=given.repeated, notes=given.notes)
        time.sleep(PAUSE)


def report(outcome: Outcome, output: Literal["table", "json"]) -> bool:
    """Prints it; False when an agent did not do what it was told."""
    if output == "json":
        as_json(outcome)
    else:
        for story in outcome.orders:
            print_answers(story.view.agents)
    states = [agent.state for story in outcome.orders for agent in story.view.agents]
    waiting = sum(state in OPEN for state in states)
    if waiting:
        click.echo(f"{waiting} still to answer; see `thwart orders show {outcome.orders[0].view.id[:SHORT]}`", err=True)
    return not any(state in WRONG for state in states)


def say(given: Given, opening: str) -> None:
    """The order in a sentence, and what is easily overlooked, on standard error."""
    ids: Sequence[str] = [order.id[:SHORT] for order in given.orders]
    click.echo(f"{opening} (order {', '.join(ids)})" if ids else opening, err=True)
    for note in given.notes:
        click.echo(plain(f"note: {note}"), err=True)


def _awaited(story: OrderStory, living: set[str]) -> bool:
    return any(agent.state in OPEN and agent.agent_id in living for agent in story.view.agents)
