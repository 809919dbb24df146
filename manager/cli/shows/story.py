"""How one order's story looks: what happened in time, from the log line to the end.

Instants are the manager's clock, but for a line's and an alert's, which are the logging host's.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import click
from msgspec import Struct

from manager.cli.shows.orders import print_facts
from manager.cli.shows.table import time_of
from manager.cli.shows.words import how_long, place
from manager.ledger.views import OrderStory, OrderView, Said
from shared.actions import kind_of
from shared.command_line import SHORT
from shared.messages import Order
from shared.tables import plain, print_table


class Moment(Struct, frozen=True, kw_only=True):
    """Something that happened. `at` is None where only the text says when, as with lines that were counted."""

    at: float | None
    what: str  # line, alert, order, on-hold, sent, answer, end, extended, lift
    who: str  # the agent that it is about or from; empty for the manager
    text: str


class Timed(OrderStory, frozen=True, kw_only=True):
    """A story as `-o json` prints it."""

    timeline: tuple[Moment, ...]


class Related(Struct, frozen=True, kw_only=True):
    """What else has to do with an order."""

    lift: OrderStory | None = None  # the delete that names it
    others: Sequence[OrderView] = ()  # orders on the same target


def timed(told: OrderStory, related: Related) -> Timed:
    """The story with everything in time; what happened at one instant stays in the order in which it comes about."""
    some = [*_alerted(told), *_given(told.view), *_answered(told), *_extended(told, related.others)]
    some += _lifted(related.lift)
    some.sort(key=lambda moment: float("-inf") if moment.at is None else moment.at)
    return Timed(view=told.view, alert=told.alert, history=told.history, timeline=tuple(some))


def print_story(told: Timed) -> None:
    """Everything about one order."""
    print_facts(told.view)
    rows = [(_when(each.at), each.what, each.who, each.text) for each in told.timeline]
    click.echo()
    print_table(("WHEN", "WHAT", "AGENT", ""), rows, "nothing is known of what happened")
    silent = [each for each in told.view.agents if each.status is None and each.ended_at is None]
    for each in silent:
        click.echo(plain(f"{each.agent_id}: {each.state}, no answer" + (f" ({each.note})" if each.note else "")))


def _alerted(told: OrderStory) -> Iterator[Moment]:
    """The lines that were counted, the one that was too many, and what it passed."""
    alert = told.alert
    if alert is None:
        return
    at, agent = _instant(alert.timestamp), alert.agent.id
    for line in alert.previous_output.split("\n") if alert.previous_output else ():
        yield Moment(at=None, what="line", who=agent, text=line)
    yield Moment(at=at, what="line", who=agent, text=alert.full_log)
    rule = f"rule {alert.rule.id}, level {alert.rule.level}: {alert.rule.description}"
    yield Moment(at=at, what="alert", who=agent, text=rule)


def _given(view: OrderView) -> Iterator[Moment]:
    order, hold = view.order, view.hold
    if order:
        yield Moment(at=order.issued_at, what="order", who="", text=_words(view))
    if hold:
        yield Moment(at=hold.since, what="on-hold", who="", text="; ".join(filter(None, (hold.reason, hold.note))))
    if view.sent_at:
        yield Moment(at=view.sent_at, what="sent", who="", text=f"the broker has it{_after(view.sent_at, _from(view))}")


def _words(view: OrderView) -> str:
    """Who ordered what, and where."""
    order = view.order
    assert order is not None  # noqa: S101  # whose words these are
    parts = [
        f"by {order.response or order.issuer or 'nobody known'}",
        f"offence {order.offence}" if order.response else "",
        f"on {place(order.location, order.agents)}",
        how_long(order),
        order.reason,
    ]
    return ", ".join(part for part in parts if part)


def _answered(told: OrderStory) -> Iterator[Moment]:
    """What each agent said, its first answer with how long it took."""
    heard: set[str] = set()
    for said in told.history:
        took = ""
        if said.kind == "acknowledgement" and said.agent_id not in heard:
            heard.add(said.agent_id)
            took = _after(said.recorded_at, _expected(told.view, said))
        yield Moment(at=said.recorded_at, what=_kind(said), who=said.agent_id, text=_said(said) + took)


def _expected(view: OrderView, said: Said) -> float | None:
    """Since when the answer was waited for: an order that was sent again after it says a later instant."""
    since = max((each.since for each in view.agents if each.agent_id == said.agent_id), default=None)
    return _from(view) if since is None or since > said.recorded_at else since


def _extended(told: OrderStory, others: Sequence[OrderView]) -> Iterator[Moment]:
    """Orders that came while this one held its effect, and hold it longer."""
    order = told.view.order
    if order is None or not order.lasting or order.operation == "delete" or order.expires_at is None:
        return
    over = max((each.ended_at or order.expires_at for each in told.view.agents), default=order.expires_at)
    for other in reversed(others):
        later = other.order
        if later is None or other.id == told.view.id or later.operation == "delete" or not _same_effect(order, later):
            continue
        if order.issued_at <= later.issued_at < over and (later.expires_at or over + 1) > order.expires_at:
            until = f"until {_when(later.expires_at)}" if later.expires_at else "until lifted"
            text = f"order {other.id[:SHORT]} holds it {until} ({other.state})"
            yield Moment(at=later.issued_at, what="extended", who="", text=text)


def _same_effect(order: Order, later: Order) -> bool:
    """Whether `later` holds what `order` does to a target. A script that is told other words does something else."""
    same = later.arguments == order.arguments or kind_of(order.action) != "script"
    return later.lasting and later.action == order.action and same


def _lifted(lift: OrderStory | None) -> Iterator[Moment]:
    """The delete that names it, and what agents answered to that."""
    if lift is None:
        return
    order = lift.view.order
    if order:
        words = ", ".join(
            filter(None, (f"order {lift.view.id[:SHORT]} by {order.issuer or 'nobody known'}", order.reason))
        )
        yield Moment(at=order.issued_at, what="lift", who="", text=words)
    for each in _answered(lift):
        yield Moment(at=each.at, what="lift", who=each.who, text=each.text)


def _kind(said: Said) -> str:
    return "answer" if said.kind == "acknowledgement" else "end"


def _said(said: Said) -> str:
    aside = "" if said.expected else "the order was not for it"
    return ", ".join(part for part in (said.word, said.detail, aside) if part)


def _from(view: OrderView) -> float | None:
    return view.order.issued_at if view.order else None


def _after(at: float, since: float | None) -> str:
    return "" if since is None else f", after {max(0.0, at - since):.3f} s"


def _instant(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _when(at: float | None) -> str:
    return "" if at is None else time_of(at, "milliseconds")
