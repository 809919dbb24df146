"""What may have cut this host off from its broker: what came into force and of which no answer was confirmed since.

Nothing is written for it while all is well: an answer goes into the outbox once its effect is in force, so the
broker's confirm of it is the proof. Whoever begins a test marks what it is about first: answers may be confirmed while
their effects are off the host, and then they prove nothing, whatever crashes in between.
"""

from collections.abc import Collection, Iterable

from agent.journal import answers, planning
from agent.journal.planning import Name
from agent.journal.times import Now
from shared import codec, outbox
from shared.messages import Acknowledgement
from shared.store import Connection, Row

LATER = 0.001  # s: the least by which the second answer to an order is later than its first, whatever the clock says

_ORDER = "SELECT action, key FROM orders WHERE id = ?"
_MARK = "UPDATE effects SET suspect = 1 WHERE action = ? AND key = ?"
_MARKED = "SELECT action, key FROM effects WHERE suspect = 1 ORDER BY rowid"
_CLEAR = "UPDATE effects SET suspect = 0 WHERE suspect = 1"
_HOLDERS = """
SELECT h.order_id, o.received_at, o.settled_at FROM holders h LEFT JOIN orders o ON o.id = h.order_id
WHERE h.action = ? AND h.key = ? AND h.lifted = 0
"""
_LET_GO = "DELETE FROM holders WHERE order_id = ?"
_CONDEMNED = "SELECT body FROM orders WHERE status = 'failed' AND detail = ? AND settled_at > ?"
_GONE = """
DELETE FROM effects WHERE action = ? AND key = ? AND NOT EXISTS
    (SELECT 1 FROM holders h WHERE h.action = effects.action AND h.key = effects.key)
"""


def suspect(connection: Connection, actions: Collection[str]) -> list[Name]:
    """Marks what of these actions is in force and not proved, and tells what is marked now."""
    came = (_came_into_force(connection, body) for body in outbox.waiting(connection, "acknowledgement"))
    connection.executemany(_MARK, {name for name in came if name and name[0] in actions})
    return [(row["action"], row["key"]) for row in connection.execute(_MARKED)]


def prove(connection: Connection) -> None:
    """Nothing is suspected any more."""
    connection.execute(_CLEAR)


def condemn(
    connection: Connection, names: Iterable[Name], why: str, agent_id: str, now: Now
) -> tuple[Acknowledgement, ...]:
    """These are off the host for good: whoever holds them has failed, and is answered so instead of what it was before.

    Who was lifted meanwhile is left to the next turn.
    """
    said: list[Acknowledgement] = []
    for name in names:
        for row in connection.execute(_HOLDERS, name).fetchall():
            connection.execute(_LET_GO, (row["order_id"],))
            if row["settled_at"] is not None:  # else nobody's order held it
                said.append(_failed(row, why, agent_id, now))
        connection.execute(_GONE, name)
    for each in said:
        answers.keep_answer(connection, each)
    outbox.put(connection, map(answers.of_acknowledgement, said))
    return tuple(said)


def condemned(connection: Connection, why: str, since: float) -> list[str]:
    """The targets of the orders that were answered `why` since that instant."""
    rows = connection.execute(_CONDEMNED, (why, since)).fetchall()
    return list(dict.fromkeys(planning.order_in(row).target for row in rows))


def _came_into_force(connection: Connection, body: bytes) -> Name | None:
    """What came into force by the order that this answer is about; None when nothing did."""
    said = codec.decode(body, Acknowledgement)
    if (said.status, said.detail) != ("applied", "new"):
        return None
    row = connection.execute(_ORDER, (said.order_id,)).fetchone()
    return None if row is None else (row["action"], row["key"])


def _failed(row: Row, why: str, agent_id: str, now: Now) -> Acknowledgement:
    return Acknowledgement(
        order_id=row["order_id"],
        agent_id=agent_id,
        status="failed",
        detail=why,
        received_at=row["received_at"],
        settled_at=max(now.wall, row["settled_at"] + LATER),
    )
