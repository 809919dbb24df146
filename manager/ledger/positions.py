"""How far each file of each agent was taken: lines at or below a position are known and are dropped unread."""

from collections.abc import Iterable

from msgspec import Struct

from shared.store import Connection

_ALL = "SELECT agent_id, source, file, position FROM positions"
_ADVANCE = """
INSERT INTO positions (agent_id, source, file, position, updated_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (agent_id, source, file) DO UPDATE SET position = excluded.position, updated_at = excluded.updated_at
WHERE excluded.position > positions.position
"""


class Position(Struct, frozen=True, kw_only=True):
    """The last line taken of a file: the offset of its first byte."""

    agent_id: str
    source: str
    file: str  # identity, as in a batch's cursor
    offset: int


def load(connection: Connection) -> list[Position]:
    """Every position, for a start."""
    return [
        Position(agent_id=row["agent_id"], source=row["source"], file=row["file"], offset=row["position"])
        for row in connection.execute(_ALL)
    ]


def advance(connection: Connection, positions: Iterable[Position], now: float) -> None:
    """Moves positions on; one never moves back."""
    connection.executemany(_ADVANCE, ((each.agent_id, each.source, each.file, each.offset, now) for each in positions))
