"""An order in words. Light, because `thwart correlate` says it of every order and draws no table."""

from collections.abc import Sequence

from shared import durations
from shared.messages import Order


def place(location: str, named: Sequence[str]) -> str:
    """Where an order is carried out."""
    match location:
        case "all":
            return "all agents and manager hosts"
        case "server":
            return "manager hosts"
        case _:
            return ", ".join(named)


def span(order: Order) -> str:
    """How long what it does stays; empty for a lift, and for what just happens."""
    if order.operation == "delete" or not order.lasting:
        return ""
    return "until lifted" if order.timeout is None else durations.words(order.timeout)


def how_long(order: Order) -> str:
    """The same in a sentence: `for 10 min`."""
    return f"for {span(order)}" if order.timeout else span(order)


def in_words(order: Order) -> str:
    """What an `add` does, where and for how long."""
    words = (order.action, order.target, "on", place(order.location, order.agents), how_long(order))
    again = f", offence {order.offence}" if order.offence > 1 else ""
    return f"{' '.join(filter(None, words))}{again}{' (dry run)' if order.dry_run else ''}"
