"""The ledger's queries for people: orders, and one order's story."""

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct

from manager.ledger import alerts
from manager.ledger.schema import FOREVER
from manager.ledger.views import (
    AgentOrder,
    AgentOrderState,
    Hold,
    OrderQuery,
    OrderState,
    OrderStory,
    OrderView,
    Said,
    state_of,
)
from shared import codec
from shared.messages import Order
from shared.store import Connection, Row

_PAGE = 200  # orders looked at in one query
_NEWEST = "SELECT * FROM orders WHERE (issued_at, id) < (?, ?)"
_WITH_TARGET = " AND target = ?"
_FOR_AGENT = " AND EXISTS (SELECT 1 FROM order_agents oa WHERE oa.order_id = orders.id AND oa.agent_id = ?)"
_IN_STATE = """
    AND CASE phase WHEN 'released' THEN EXISTS (SELECT 1 FROM order_agents oa WHERE oa.order_id = orders.id
        AND oa.state = ?) ELSE phase = 'lifted' END
"""
# States of the order itself: no agent's row tells them.
_OF_ITSELF: dict[OrderState | None, str] = {
    "on-hold": " AND phase = 'on-hold'",
    "not-approved": " AND phase = 'not-approved'",
    "unsent": " AND phase = 'released' AND sent_at IS NULL",
    "unroutable": """
        AND phase = 'released' AND (EXISTS (SELECT 1 FROM order_agents oa WHERE oa.order_id = orders.id AND
            oa.state = 'unroutable') OR NOT EXISTS (SELECT 1 FROM order_agents oa WHERE oa.order_id = orders.id))
    """,
}
_PAGED = " ORDER BY issued_at DESC, id DESC LIMIT ?"
_ONE = "SELECT * FROM orders WHERE id = ?"
_STARTING = "SELECT * FROM orders WHERE id >= ? AND id < ? LIMIT 2"
_SOME_STARTING = "SELECT id FROM orders WHERE id >= ? AND id < ? ORDER BY id LIMIT 10"
_AGENTS = "SELECT * FROM order_agents WHERE order_id = ? ORDER BY agent_id"
_HISTORY = """
SELECT h.*, oa.order_id IS NOT NULL AS expected FROM history h
    LEFT JOIN order_agents oa ON oa.order_id = h.order_id AND oa.agent_id = h.agent_id
WHERE h.order_id = ? ORDER BY h.recorded_at, h.said_at, h.kind
"""


class Now(Struct, frozen=True, kw_only=True):
    """What a reading of the ledger depends on beside its rows."""

    at: float
    living: Collection[str]  # agents that would have answered
    answer_within: float  # s


def orders(connection: Connection, query: OrderQuery, now: Now) -> list[OrderView]:
    """Orders that `query` asks for, newest first."""
    found: list[OrderView] = []
    for row in _newest_first(connection, query):
        if len(found) == query.limit:
            break
        view = _view(connection, row, now)
        if query.state in (None, view.state):
            found.append(view)
    return found


def order(connection: Connection, order_id: str, now: Now) -> OrderStory | None:
    """One order's story, by its id or by the beginning of it if that is no other's; None if there is none."""
    rows = connection.execute(_ONE, (order_id,)).fetchall()
    rows = rows or connection.execute(_STARTING, (order_id, f"{order_id}\uffff")).fetchall()
    if len(rows) != 1:
        return None
    view = _view(connection, rows[0], now)
    history = tuple(_said(row) for row in connection.execute(_HISTORY, (view.id,)))
    return OrderStory(view=view, alert=alerts.find(connection, view.origin), history=history)


def starting(connection: Connection, beginning: str) -> list[str]:
    """The ids of some orders that begin so."""
    return [row["id"] for row in connection.execute(_SOME_STARTING, (beginning, f"{beginning}\uffff"))]


def _newest_first(connection: Connection, query: OrderQuery) -> Iterator[Row]:
    """Page by page, so that a common state doesn't read it all; a rare one is looked for by the database."""
    filters = ((_WITH_TARGET, query.target), (_FOR_AGENT, query.agent), (_IN_STATE, _stored(query.state)))
    clauses = [*(clause for clause, value in filters if value), _OF_ITSELF.get(query.state, "")]
    select = _NEWEST + "".join(clauses) + _PAGED
    wanted = [value for _, value in filters if value]
    before, last = FOREVER, ""
    while rows := connection.execute(select, (before, last, *wanted, _PAGE)).fetchall():
        yield from rows
        before, last = rows[-1]["issued_at"], rows[-1]["id"]


def _stored(state: OrderState | None) -> AgentOrderState | None:
    """The state that some agent's row must have for an order to be in `state`; None when no row need have one."""
    match state:
        case None | "unsent" | "unroutable" | "on-hold" | "not-approved":  # of the order itself
            return None
        case "overdue":
            return "waiting"
        case _:
            return state


def _view(connection: Connection, row: Row, now: Now) -> OrderView:
    sent_at = row["sent_at"]
    agents = tuple(_agent(each, sent_at, now) for each in connection.execute(_AGENTS, (row["id"],)))
    return OrderView(
        id=row["id"],
        state=_order_state(row, agents),
        order=None if row["is_foreign"] else codec.decode(row["body"], Order),
        action=row["action"],
        target=row["target"],
        origin=row["origin"],
        sent_at=sent_at,
        lifted_by=row["lifted_by"],
        agents=agents,
        hold=Hold(reason=row["hold"], since=row["held_at"], note=row["hold_note"]) if row["hold"] else None,
    )


def _order_state(row: Row, agents: Sequence[AgentOrder]) -> OrderState:
    """What was never sent off is in the state that people have put it into."""
    if row["phase"] != "released":
        phase: OrderState = row["phase"]
        return phase
    return state_of(row["sent_at"] is not None, [agent.state for agent in agents])


def _agent(row: Row, sent_at: float | None, now: Now) -> AgentOrder:
    return AgentOrder(
        agent_id=row["agent_id"],
        state=_state(row, sent_at, now),
        since=row["since"],
        note=row["note"],
        status=row["status"],
        detail=row["detail"],
        exit_code=row["exit_code"],
        received_at=row["received_at"],
        settled_at=row["settled_at"],
        expires_at=row["expires_at"],
        answered_at=row["answered_at"],
        ended_at=row["ended_at"],
        cause=row["cause"],
        outcome=row["outcome"],
        ended_detail=row["ended_detail"],
    )


def _state(row: Row, sent_at: float | None, now: Now) -> AgentOrderState:
    """`overdue` is never written down: it ends by itself when the answer comes or the agent falls silent."""
    state: AgentOrderState = row["state"]
    if state != "waiting" or sent_at is None or row["agent_id"] not in now.living:
        return state
    return "overdue" if now.at > max(row["since"], sent_at) + now.answer_within else "waiting"


def _said(row: Row) -> Said:
    return Said(
        agent_id=row["agent_id"],
        kind=row["kind"],
        word=row["word"],
        detail=row["detail"],
        said_at=row["said_at"],
        recorded_at=row["recorded_at"],
        expected=bool(row["expected"]),
    )
