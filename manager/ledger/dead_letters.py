"""What could not be taken, kept for people: the beginning of each message, where it came from, and why.

A dead letter is a hint and never the only evidence: an order's settles that order on the agent that it was for and on
nobody else, and only until the agent answers.
"""

from collections.abc import Sequence

from msgspec import Struct

from manager.ledger import answers
from manager.ledger.answers import Closed
from manager.ledger.views import DeadLetter
from shared.store import Connection, Row

KEPT = 4 * 1024  # bytes of a message
WORDS = 400  # characters of anything that its sender wrote around it
MOST = 1_000  # for each reason, so that a flood of one kind doesn't push out the others

_PUT = """
INSERT INTO dead_letters (at, reason, detail, exchange, routing_key, kind, message_id, sender, died_in, size, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TRIM = """
DELETE FROM dead_letters WHERE reason = ? AND seq <= (
    SELECT seq FROM dead_letters WHERE reason = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)
"""
_NEWEST = "SELECT * FROM dead_letters ORDER BY seq DESC LIMIT ?"
_FOR_REASON = "SELECT * FROM dead_letters WHERE reason = ? ORDER BY seq DESC LIMIT ?"
_FORGET = "DELETE FROM dead_letters WHERE at < ?"
# by the deadline as well: it may have been sent again since, with a later one
_EXPIRED = """
UPDATE order_agents SET state = 'stale', note = 'expired in its queue'
WHERE order_id = ? AND agent_id = ? AND state = 'waiting' AND deadline < ?
"""
_UNDELIVERED = "UPDATE order_agents SET note = ? WHERE order_id = ? AND agent_id = ? AND state = 'waiting'"


class Undelivered(Struct, frozen=True, kw_only=True):
    """An order that one agent did not take, by a dead letter."""

    order_id: str
    agent_id: str
    reason: str


def put(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Writes them down; the oldest of the same reasons make room."""
    connection.executemany(_PUT, map(_row, letters))
    for reason in {each.reason for each in letters}:
        connection.execute(_TRIM, (reason, reason, MOST))


def settle(connection: Connection, undelivered: Sequence[Undelivered], now: float) -> tuple[Closed, ...]:
    """Says of orders that an agent has not taken them: the ones that this was the last word on.

    What expired is `stale`; anything else is waited for on, and sent again.
    """
    ids = {each.order_id for each in undelivered}
    before = {each.order_id for each in answers.closed(connection, ids)}
    for each in undelivered:
        key = (each.order_id, each.agent_id)
        if each.reason == "expired":
            connection.execute(_EXPIRED, (*key, now + 1.0))  # the broker's clock and ours begin at different ends
        else:
            connection.execute(_UNDELIVERED, (f"undelivered: {each.reason}", *key))
    return tuple(answers.closed(connection, ids - before))


def newest(connection: Connection, reason: str | None, limit: int) -> list[DeadLetter]:
    """The latest, of one reason or of all, the newest first."""
    rows = connection.execute(_FOR_REASON, (reason, limit)) if reason else connection.execute(_NEWEST, (limit,))
    return [_letter(row) for row in rows]


def forget(connection: Connection, before: float) -> None:
    """Deletes what was written down `before`."""
    connection.execute(_FORGET, (before,))


def _row(one: DeadLetter) -> tuple[object, ...]:
    said = (one.detail, one.exchange, one.routing_key, one.kind, one.message_id, one.sender, one.died_in)
    return (one.at, one.reason, *(words[:WORDS] for words in said), one.size, one.body[:KEPT])


def _letter(row: Row) -> DeadLetter:
    return DeadLetter(
        at=row["at"],
        reason=row["reason"],
        detail=row["detail"],
        exchange=row["exchange"],
        routing_key=row["routing_key"],
        kind=row["kind"],
        message_id=row["message_id"],
        sender=row["sender"],
        died_in=row["died_in"],
        size=row["size"],
        body=row["body"],
    )
