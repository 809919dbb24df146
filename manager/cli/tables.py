"""How answers of the API look: tables for people, one JSON document for programs."""

import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from manager.api.bodies import AgentView
from manager.ledger.views import FOREIGN, AgentOrder, AllowEntry, Block, DeadLetter, Holder, OrderStory, OrderView
from shared import durations
from shared.command_line import SHORT, WIDE

_STYLES = {
    "applied": "green",
    "unchanged": "green",
    "living": "green",
    "failed": "red",
    "refused": "red",
    "overdue": "red",
    "unroutable": "red",
    "silent": "yellow",
    "stale": "yellow",
    "waiting": "yellow",
    "unsent": "yellow",
    "on-hold": "yellow",
}


def as_json(document: Any) -> None:
    """One JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def orders(views: Sequence[OrderView]) -> None:
    """One line for each order."""
    rows = [_order(each) for each in views]
    _table(("ORDER", "AGE", "ACTION", "TARGET", "WHERE", "FOR", "STATE", "AGENTS"), rows, "no such orders")


def story(told: OrderStory) -> None:
    """Everything about one order."""
    view, order = told.view, told.view.order
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
    if told.alert:
        facts += [("alert", told.alert.rule.description), ("line", told.alert.full_log)]
    facts += [("lifted by", (view.lifted_by or "")[:SHORT])]
    for name, value in facts:
        if value:
            click.echo(f"{name + ':':<11}{plain(value)}")
    answers(view.agents)
    for said in told.history:
        aside = "" if said.expected else "  (the order was not for it)"
        line = f"{time_of(said.recorded_at)}  {said.agent_id}  {said.kind} {said.word}  {said.detail}{aside}"
        click.echo(plain(line).rstrip())


def answers(agents: Iterable[AgentOrder]) -> None:
    """What each agent says about an order."""
    rows = [(each.agent_id, each.state, each.ended_detail or each.detail or each.note, _until(each)) for each in agents]
    _table(("AGENT", "STATE", "DETAIL", "UNTIL"), rows, "no agent has been expected to answer yet")


def blocks(found: Sequence[Block]) -> None:
    """One line for each block and agent."""
    rows = [_block(block, holder) for block in found for holder in block.holders]
    _table(("TARGET", "ACTION", "AGENT", "LEFT", "ORDER", ""), rows, "nothing is blocked")


def allowed(found: Sequence[AllowEntry]) -> None:
    """One line for each entry of the allowlist."""
    rows = [
        (each.network, each.reason, each.source or f"added {time_of(each.added_at or 0.0)} by {each.issuer}")
        for each in found
    ]
    _table(("NETWORK", "WHY", "FROM"), rows, "nothing is on the allowlist")


def agents(found: Sequence[AgentView]) -> None:
    """One line for each agent."""
    rows = [_agent(each) for each in found]
    columns = ("AGENT", "STATE", "SEEN", "HOST", "ROLES", "ACTIONS", "HOLDS", "VERSION", "TROUBLE")
    _table(columns, rows, "no agent has been heard of yet")


def plain(text: str) -> str:
    """`text` without what could steer a terminal: agents and logs may say anything."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def place(location: str, named: Sequence[str]) -> str:
    """Where an order is carried out, in words."""
    match location:
        case "all":
            return "all agents and manager hosts"
        case "server":
            return "manager hosts"
        case _:
            return ", ".join(named)


def dead_letters(found: Sequence[DeadLetter]) -> None:
    """One line for each message that could not be taken."""
    rows = [
        (_ago(one.at), one.reason, one.kind, one.routing_key, one.sender, one.message_id[:SHORT], one.detail)
        for one in found
    ]
    _table(("AGE", "REASON", "KIND", "KEY", "SENT BY", "ID", "DETAIL"), rows, "no dead letters")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    if not rows:
        click.echo(nothing, err=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell), style=_STYLES.get(cell, "")) for cell in row))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _order(view: OrderView) -> tuple[str, ...]:
    age = _ago(view.order.issued_at) if view.order else ""
    what, where, agents = _what(view), _place(view), _counted(view.agents) or _held(view)
    return view.id[:SHORT], age, what, view.target, where, _span(view), view.state, agents


def _block(block: Block, holder: Holder) -> tuple[str, ...]:
    aside = "being lifted" if holder.lifting else ""
    return block.target, block.action, holder.agent_id, _left(holder.until), holder.order_id[:SHORT], aside


def _agent(each: AgentView) -> tuple[str, ...]:
    can, does = ", ".join(each.actions), ", ".join(each.roles)
    seen, holds, trouble = _ago(each.seen_at), str(each.holds), _trouble(each)
    return each.id, each.state, seen, each.hostname, does, can, holds, each.version, trouble


def _what(view: OrderView) -> str:
    order = view.order
    if order is None:
        return f"{view.action or 'unknown'} (foreign)"
    words = ["lift" if order.operation == "delete" else "", view.action, "(dry run)" if order.dry_run else ""]
    return " ".join(word for word in words if word)


def _place(view: OrderView) -> str:
    return place(view.order.location, view.order.agents) if view.order else ""


def _span(view: OrderView) -> str:
    order = view.order
    if order is None or order.operation == "delete":
        return ""
    return durations.words(order.timeout) if order.timeout else "until lifted"


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


def _trouble(each: AgentView) -> str:
    skew = f"its clock is {durations.words(abs(each.skew))} off" if abs(each.skew) > 5 else ""
    drift = f"{each.drift} effects are not as they should be" if each.drift else ""
    return "; ".join(part for part in (each.trouble, drift, skew) if part)


def _left(until: float | None) -> str:
    return "until lifted" if until is None else durations.words(max(0, until - time.time()))


def _ago(at: float) -> str:
    return durations.words(max(0, round(time.time() - at)))


def time_of(at: float) -> str:
    """An instant as people here read it."""
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds")
