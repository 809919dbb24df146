"""What the ledger forgets: orders long after their end and their last answer, and what belongs to them."""

from manager.ledger import breakers, dead_letters, offenders
from shared.store import Connection

SOME = 2_000  # rows in one transaction, the last order's aside: whoever decides something waits for the writer

# Never what is in force, open, or owed an answer: that has an end or a deadline ahead.
_OLD = """
SELECT id, (SELECT count(*) FROM order_agents oa WHERE oa.order_id = o.id) AS agents FROM orders o
WHERE until < ? AND deadline < ? AND NOT EXISTS (
    SELECT 1 FROM history h WHERE h.order_id = o.id AND h.recorded_at >= ?)
"""
_ORDER = "DELETE FROM orders WHERE id = ?"
_ALERTS = """
DELETE FROM alerts WHERE id IN (
    SELECT id FROM alerts a WHERE recorded_at < ? AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.origin = a.id)
    LIMIT ?)
"""
_REFUSALS = "DELETE FROM refusals WHERE at < ?"
_POSITIONS = "DELETE FROM positions WHERE updated_at < ?"


def forget_orders(connection: Connection, before: float) -> int:
    """Deletes some of the orders that are older than `before`, with what belongs to them; how many, 0 once it is all.

    An order has three rows for each agent: what it should hold, what it answered, how that ended.
    """
    old, rows = [], 0
    for row in connection.execute(_OLD, (before, before, before)):  # one by one, because each is dear to look at
        old.append((row["id"],))
        rows += 1 + 3 * row["agents"]
        if rows >= SOME:
            break
    connection.executemany(_ORDER, old)
    return len(old)


def forget_alerts(connection: Connection, before: float) -> int:
    """Deletes some of the alerts that are older than `before` and led to no order that is kept; 0 once it is all."""
    return connection.execute(_ALERTS, (before, SOME)).rowcount


def forget(connection: Connection, before: float, offences_before: float, now: float) -> None:
    """Deletes what else is older than `before`, and offenders whose last block ended `offences_before`."""
    connection.execute(_REFUSALS, (before,))
    connection.execute(_POSITIONS, (before,))
    dead_letters.forget(connection, before)
    offenders.forget(connection, offences_before)
    breakers.forget(connection, now)
