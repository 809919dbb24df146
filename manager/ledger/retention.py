"""What the ledger forgets: orders long after their end and their last answer, and what belongs to them."""

from manager.ledger import breakers, dead_letters, offenders
from shared.store import Connection

SOME = 1_000  # rows of a kind at a time, so that nobody waits long for the writer

# Never what is in force, open, or owed an answer: that has an end or a deadline ahead.
_ORDERS = """
DELETE FROM orders WHERE id IN (
    SELECT id FROM orders o WHERE until < ? AND deadline < ?
        AND NOT EXISTS (SELECT 1 FROM history h WHERE h.order_id = o.id AND h.recorded_at >= ?)
    LIMIT ?)
"""
_ALERTS = """
DELETE FROM alerts WHERE id IN (
    SELECT id FROM alerts a WHERE recorded_at < ? AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.origin = a.id)
    LIMIT ?)
"""
_REFUSALS = "DELETE FROM refusals WHERE at < ?"
_POSITIONS = "DELETE FROM positions WHERE updated_at < ?"


def forget(connection: Connection, before: float, offences_before: float, now: float) -> int:
    """Deletes what is older than `before`, and offenders whose last block ended `offences_before`; how many orders."""
    gone = connection.execute(_ORDERS, (before, before, before, SOME)).rowcount
    connection.execute(_ALERTS, (before, SOME))
    connection.execute(_REFUSALS, (before,))
    connection.execute(_POSITIONS, (before,))
    dead_letters.forget(connection, before)
    offenders.forget(connection, offences_before)
    breakers.forget(connection, now)
    return gone
