"""How orders look: a line each, or the whole story of one."""

from collections import Counter
from collections.abc import Iterable, Sequence

import click

from manager.cli.shows.table import ago, time_of
from manager.cli.shows.words import place, span
from manager.ledger.views import FOREIGN, AgentOrder, OrderView
from shared.command_line import SHORT
from shared.tables import plain, print_table

COLUMNS = ("ORDER", "AGE", "ACTION", "TARGET", "WHERE", "FOR", "STATE", "AGENTS")


def print_orders(views: Sequence[OrderView]) -> None:
    """One line for each order."""
    rows = [order_row(each) for each in views]
    print_table(COLUMNS, rows, "no such orders")


def print_facts(view: OrderView) -> None:
    """What one order is about, and how it stands."""
    order = view.order
    facts = [
        ("order", view.id),
        ("state", view.state),
        ("what", f"{_what(view)} {view.target}"),
        ("where", _place(view)),
    ]
    if order:
        facts += [("given", f"{time_of(order.issued_at)} by {order.issuer or 'nobody known'}"), ("for", _span(view))]
        facts += [("from", "another correlator" if view.origin == FOREIGN else "")]
        facts += [("lifts", ", ".join(each[:SHORT] for each in order.lifts)), ("reason", order.reason)]
        facts += [("offence", str(order.offence) if order.response else ""), ("rule", order.rule_id)]
    if view.hold:
        facts += [("on hold", f"{view.hold.reason}, since {time_of(view.hold.since)}"), ("decided", view.hold.note)]
    if order and order.response:
        facts += [("response", order.response)]
    facts += [("lifted by", (view.lifted_by or "")[:SHORT])]
    for name, value in facts:
        if value:
            click.echo(f"{name + ':':<11}{plain(value)}")


def print_answers(agents: Iterable[AgentOrder]) -> None:
    """What each agent says about an order."""
    rows = [(each.agent_id, each.state, each.ended_detail or each.detail or each.note, _until(each)) for each in agents]
    print_table(("AGENT", "STATE", "DETAIL", "UNTIL"), rows, "no agent has been expected to answer yet")


def counted_by_state(views: Sequence[OrderView]) -> dict[str, int]:
    """How many are in which state, the most first."""
    return dict(Counter(each.state for each in views).most_common())


def order_row(view: OrderView) -> tuple[str, ...]:
    """The cells of an order's line, one for each of COLUMNS."""
    age = ago(view.order.issued_at) if view.order else ""
    what, where, agents = _what(view), _place(view), _counted(view.agents) or _held(view)
    return view.id[:SHORT], age, what, view.target, where, _span(view), view.state, agents


def _what(view: OrderView) -> str:
    order = view.order
    if order is None:
        return f"{view.action or 'unknown'} (foreign)"
    words = ["lift" if order.operation == "delete" else "", view.action, "(dry run)" if order.dry_run else ""]
    return " ".join(word for word in words if word)


def _place(view: OrderView) -> str:
    return place(view.order.location, view.order.agents) if view.order else ""


def _span(view: OrderView) -> str:
    return span(view.order) if view.order else ""


def _counted(some: Sequence[AgentOrder]) -> str:
    states = [each.state for each in some]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _held(view: OrderView) -> str:
    """What keeps it back, and whose order it is: what `thwart approve --response` is told."""
    if view.hold is None or view.state != "on-hold":
        return ""
    return f"{view.hold.reason} ({view.order.response})" if view.order and view.order.response else view.hold.reason


def _until(each: AgentOrder) -> str:
    if each.ended_at:
        return f"{time_of(each.ended_at)} ({each.cause})"
    return time_of(each.expires_at) if each.expires_at and each.state in ("applied", "unchanged") else ""
