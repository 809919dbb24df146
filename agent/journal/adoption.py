"""Adoption: what an agent finds in force when it starts, and doesn't know, is held until the managers had their say.

A journal that is new, or an older copy of itself, has forgotten orders whose blocks the kernel still has. Lifting them
would end them early, so they are held with the time left, by nobody's order: no answer and no expiry event tells of
such a hold, and no fingerprint counts it. An order that comes for the same target is `applied new` all the same.
"""

from collections.abc import Callable, Mapping
from uuid import uuid4

from msgspec import json

from agent.journal.holding import Hold
from agent.journal.times import Now
from shared.store import Connection

_EFFECT = """
INSERT INTO effects (action, key, target, arguments, since_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_HOLD = "INSERT INTO holders (order_id, action, key, ends, exempt, adopted) VALUES (?, ?, ?, ?, 0, 1)"
_TAKE_BACK = """
INSERT INTO holders (order_id, action, key, ends, exempt, slow, adopted, lifted) VALUES (?, ?, ?, NULL, 0, ?, 1, 1)
"""
_OWED = """
SELECT action, key, target, slow FROM effects e WHERE NOT EXISTS
    (SELECT 1 FROM holders h WHERE h.action = e.action AND h.key = e.key)
"""
_RELEASE = "UPDATE holders SET lifted = 1 WHERE adopted = 1"
_CAUGHT_UP = "UPDATE identity SET caught_up = 1"
_ANY = "SELECT 1 FROM holders WHERE adopted = 1 LIMIT 1"
_OURS = "SELECT 1 FROM identity WHERE journal = ?"
_IS_CAUGHT_UP = "SELECT caught_up FROM identity"

_NOTHING = json.encode(()).decode()


def adopt(connection: Connection, action: str, ends: Mapping[str, float | None], now: Now) -> bool:
    """Holds what was found of one action: by key the boot clock's reading when it ends, None for until lifted.

    True when anything is held so and no manager may come to release it, because this agent is none that lacks anything.
    """
    for key, end in ends.items():
        connection.execute(_EFFECT, (action, key, key, _NOTHING, now.wall))
        # not made of the key: whoever can write an order could take the name
        connection.execute(_HOLD, (uuid4().hex, action, key, end))
    return connection.execute(_ANY).fetchone() is not None and bool(connection.execute(_IS_CAUGHT_UP).fetchone()[0])


def take_back(connection: Connection, chosen: Callable[[Hold], bool]) -> None:
    """What is `chosen` of all that could not be reverted, and that nobody holds any more, is held like that and let go:
    so it is tried once more, in the next turn.
    """
    for row in connection.execute(_OWED).fetchall():
        hold = Hold(
            order_id=uuid4().hex, action=row["action"], target=row["target"], exempt=False, forget_at=0.0, adopted=True
        )
        if chosen(hold):
            connection.execute(_TAKE_BACK, (hold.order_id, hold.action, row["key"], row["slow"]))


def release(connection: Connection) -> None:
    """This agent is up to date: the next turns let every adopted hold go.

    What orders have taken over, or are about to, stays in force; the rest is reverted.
    """
    connection.execute(_RELEASE)
    connection.execute(_CAUGHT_UP)


def is_ours(connection: Connection, journal: str) -> bool:
    """Whether the journal of that id is this one: what was sent to an earlier one is as lost as that."""
    return connection.execute(_OURS, (journal,)).fetchone() is not None
