"""What has carried each action out on this host, or may have before this journal began: noted first, and kept until
nothing by it is in force.
"""

from collections.abc import Collection, Mapping

from agent.journal.planning import Name
from shared.store import Connection

_KNOWN = "SELECT action, backend, used FROM backends"
_USE = """
INSERT INTO backends (action, backend, used) VALUES (?, ?, 1) ON CONFLICT (action, backend) DO UPDATE SET used = 1
"""
_SUSPECT = "INSERT INTO backends (action, backend, used) VALUES (?, ?, 0) ON CONFLICT DO NOTHING"
_LEAVE = "DELETE FROM backends WHERE action = ? AND backend = ?"
_MERGE = (
    """
INSERT INTO effects (action, key, target, arguments, since_at, suspect)
SELECT :name, key, target, arguments, since_at, suspect FROM effects WHERE action = :alias AND slow = 0
ON CONFLICT DO NOTHING
""",
    "DELETE FROM effects WHERE action = :alias AND slow = 0",
    "UPDATE holders SET action = :name WHERE action = :alias AND slow = 0",
    "UPDATE orders SET action = :name WHERE action = :alias AND slow = 0",
)


def known(connection: Connection) -> dict[Name, bool]:
    """Each action with each backend that may have something in force for it; True when it was used, by this journal."""
    return {(row["action"], row["backend"]): bool(row["used"]) for row in connection.execute(_KNOWN)}


def use(connection: Connection, backends: Mapping[str, str], suspected: Collection[Name]) -> None:
    """These actions are carried out by these backends from now on; `suspected` may have been, as far as is known."""
    connection.executemany(_USE, backends.items())
    connection.executemany(_SUSPECT, suspected)


def leave(connection: Connection, names: Collection[Name]) -> None:
    """Nothing is in force by these any more."""
    connection.executemany(_LEAVE, names)


def merge(connection: Connection, aliases: Mapping[str, str]) -> None:
    """What is held under a name that is another action's from now on is held under that one's, and is one effect."""
    for alias, name in aliases.items():
        for statement in _MERGE:
            connection.execute(statement, {"name": name, "alias": alias})
