"""What should be in force on the host by the journal, for whoever compares it with what is there."""

from collections.abc import Mapping

from msgspec import Struct

from agent.journal.planning import FOREVER, Name
from shared.store import Connection

_STANDING = """
SELECT key, max(COALESCE(ends, ?)) AS ends, max(lifted) AS changing FROM holders WHERE action = ? GROUP BY key
"""
_LEFT_OVER = """
SELECT key FROM effects e WHERE action = ? AND NOT EXISTS
    (SELECT 1 FROM holders h WHERE h.action = e.action AND h.key = e.key)
"""
_NAMES = """
SELECT e.action, e.key FROM effects e LEFT JOIN holders h ON h.action = e.action AND h.key = e.key
WHERE e.slow = 0 GROUP BY e.action, e.key ORDER BY max(CASE WHEN lifted = 1 THEN 0 ELSE COALESCE(ends, ?) END)
"""
_COMING = "SELECT key FROM orders WHERE status IS NULL AND slow = 0 AND key != ''"


class Standing(Struct, frozen=True, kw_only=True):
    """One action's effects: the boot clock's reading when each ends, infinite for "until lifted", by key.

    `changing` are those that a turn is about to put in force, to move or to end: a crash, or a full disk, may have
    come between the host and the journal, so that nobody can say what the host should have of them just now.
    """

    ends: Mapping[str, float]
    changing: frozenset[str]


def names(connection: Connection) -> list[Name]:
    """All effects but those of slow actions: first those that nobody holds, and then by their ends."""
    return [(row["action"], row["key"]) for row in connection.execute(_NAMES, (FOREVER,))]


def standing(connection: Connection, action: str) -> Standing:
    """What should be in force of `action`."""
    ends: dict[str, float] = {}
    changing: set[str] = set()
    for row in connection.execute(_STANDING, (FOREVER, action)):  # not all at once: there may be very many
        ends[row["key"]] = row["ends"]
        if row["changing"]:
            changing.add(row["key"])
    changing.update(row["key"] for row in connection.execute(_LEFT_OVER, (action,)))
    changing.update(row["key"] for row in connection.execute(_COMING))
    return Standing(ends=ends, changing=frozenset(changing))
