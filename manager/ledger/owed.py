"""What an agent should hold, against what it says: the questions that catch-up asks."""

from msgspec import Struct
from msgspec.structs import replace

from manager.ledger.schema import FOREVER
from shared import codec
from shared.messages import ENDING, Holds, Order
from shared.store import Connection, Row

_IN_FORCE = """
SELECT o.body FROM order_agents oa JOIN orders o ON o.id = oa.order_id
WHERE oa.agent_id = ? AND oa.until > ? AND oa.state IN ('waiting', 'unroutable', 'applied', 'unchanged', 'stale')
    AND o.lasting = 1 AND o.lifted_by IS NULL AND o.dry_run = 0 ORDER BY o.issued_at, o.id
"""
# `+`: else SQLite goes through all orders by their age, to be spared the sorting of some
_LIFTS = """
SELECT o.body FROM orders o WHERE o.operation = 'delete' AND o.until > ?
    AND EXISTS (SELECT 1 FROM order_agents oa WHERE oa.order_id = o.id AND oa.agent_id = ?) ORDER BY +o.issued_at, o.id
"""
# What was for nobody but agents that joined later was never in the outbox.
_UNANSWERED = """
SELECT o.body FROM order_agents oa JOIN orders o ON o.id = oa.order_id
WHERE oa.agent_id = ? AND oa.state = 'waiting' AND oa.until > ?
    AND (o.sent_at IS NOT NULL OR NOT EXISTS (SELECT 1 FROM outbox WHERE message_id = o.id))
    AND o.lifted_by IS NULL AND (o.lasting = 1 OR o.operation = 'delete') ORDER BY o.operation DESC, o.issued_at, o.id
"""
_LEFT = """
SELECT 1 FROM order_agents oa JOIN orders o ON o.id = oa.order_id
WHERE oa.agent_id = ? AND oa.state = 'waiting' AND oa.since < ? AND oa.until > ?
    AND (o.sent_at < ? OR o.sent_at IS NULL AND NOT EXISTS (SELECT 1 FROM outbox WHERE message_id = o.id))
    AND o.lifted_by IS NULL AND (o.lasting = 1 OR o.operation = 'delete') LIMIT 1
"""
_UNENDED = """
SELECT o.body FROM order_agents oa JOIN orders o ON o.id = oa.order_id
WHERE oa.agent_id = ? AND oa.until > ? AND oa.until < ? AND oa.state IN ('applied', 'unchanged') AND o.lasting = 1
ORDER BY oa.until, o.id
"""
_LEFT_UNENDED = """
SELECT 1 FROM order_agents oa JOIN orders o ON o.id = oa.order_id
WHERE oa.agent_id = ? AND oa.until > ? AND oa.until < ? AND oa.state IN ('applied', 'unchanged') AND o.lasting = 1
LIMIT 1
"""
_HELD = """
SELECT order_id, until FROM order_agents
WHERE agent_id = ? AND until > ? AND state IN ('applied', 'unchanged')
"""
_AGAIN = """
UPDATE order_agents SET since = ?, deadline = CASE WHEN until < ? THEN until ELSE ? END
WHERE order_id = ? AND agent_id = ? AND state = 'waiting'
"""
_RESTAMP = "UPDATE orders SET deadline = ? WHERE id = ? AND deadline < ?"


ASKED_FOR = 3_600.0  # s after a block should have ended in which its agent is asked whether it has


class Held(Struct, frozen=True, kw_only=True):
    """What the ledger says that an agent holds, and until when that stays true if nothing happens."""

    holds: Holds
    until: float


def in_force(connection: Connection, agent_id: str, now: float) -> list[Order]:
    """Everything for the agent that still matters: lifts first, so that no `add` comes before its end."""
    return _orders(connection.execute(_LIFTS, (now, agent_id)).fetchall()) + _orders(
        connection.execute(_IN_FORCE, (agent_id, now)).fetchall()
    )


def unanswered(connection: Connection, agent_id: str, now: float) -> list[Order]:
    """What was sent and still matters, and the agent has said nothing about; lifts first."""
    return _orders(connection.execute(_UNANSWERED, (agent_id, now)).fetchall())


def leaves_unanswered(connection: Connection, agent_id: str, since: float, now: float) -> bool:
    """True when something that was sent before `since`, and again if it was, has no answer yet."""
    return connection.execute(_LEFT, (agent_id, since, now, since)).fetchone() is not None


def unended(connection: Connection, agent_id: str, since: float) -> list[Order]:
    """What should have ended before `since`, and the agent has not said so: it does when the order comes once more."""
    return _orders(connection.execute(_UNENDED, (agent_id, since - ASKED_FOR, since)).fetchall())


def leaves_unended(connection: Connection, agent_id: str, since: float) -> bool:
    """True when there is something of that kind."""
    return connection.execute(_LEFT_UNENDED, (agent_id, since - ASKED_FOR, since)).fetchone() is not None


def held(connection: Connection, agent_id: str, at: float) -> Held:
    """What the agent holds by its own answers, as its heartbeat of `at` (its clock) would say it."""
    rows = connection.execute(_HELD, (agent_id, at + ENDING)).fetchall()
    until = min((row["until"] for row in rows), default=FOREVER) - ENDING
    return Held(holds=Holds.of(row["order_id"] for row in rows), until=until)


def sent_again(connection: Connection, agent_id: str, order: Order, span: float, now: float) -> Order:
    """`order` as it goes out once more: what has no end of its own has a new deadline, `span` from now."""
    again = order if order.timeout is not None else replace(order, deadline=now + span)
    connection.execute(_AGAIN, (now, again.deadline, again.deadline, order.id, agent_id))
    connection.execute(_RESTAMP, (again.deadline, order.id, again.deadline))
    return again


def _orders(rows: list[Row]) -> list[Order]:
    return [codec.decode(row["body"], Order) for row in rows]
