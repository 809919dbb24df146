"""The roster's rows: which agents there are, and the last heartbeat of each that was written down."""

from collections.abc import Iterable

from msgspec import Struct

from shared import codec
from shared.messages import Heartbeat
from shared.store import Connection

_ALL = "SELECT * FROM agents ORDER BY id"
_PUT = """
INSERT INTO agents (id, heartbeat, first_seen_at, seen_at) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET heartbeat = excluded.heartbeat, seen_at = excluded.seen_at
"""


class Agent(Struct, frozen=True, kw_only=True):
    """An agent as it was last heard of. `skew` is the manager's clock less the agent's, transport included."""

    heartbeat: Heartbeat
    first_seen_at: float
    seen_at: float  # the manager's clock

    @property
    def id(self) -> str:
        return self.heartbeat.agent_id

    @property
    def skew(self) -> float:
        return self.seen_at - self.heartbeat.at


def load(connection: Connection) -> list[Agent]:
    """Every agent that was ever heard of."""
    return [
        Agent(
            heartbeat=codec.decode(row["heartbeat"], Heartbeat),
            first_seen_at=row["first_seen_at"],
            seen_at=row["seen_at"],
        )
        for row in connection.execute(_ALL)
    ]


def put(connection: Connection, agents: Iterable[Agent]) -> None:
    """Writes down `agents`, new ones and known ones."""
    connection.executemany(
        _PUT, ((each.id, codec.encode(each.heartbeat), each.first_seen_at, each.seen_at) for each in agents)
    )
