"""The roster's rows: which agents there are, and the last heartbeat of each that was written down."""

from collections.abc import Iterable

from msgspec import Struct

from manager.ledger import answers
from manager.ledger.answers import Lapsed
from shared import codec
from shared.messages import Heartbeat
from shared.store import Connection

_ALL = "SELECT * FROM agents ORDER BY id"
_PUT = """
INSERT INTO agents (id, heartbeat, first_seen_at, seen_at, gone_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET heartbeat = excluded.heartbeat, seen_at = excluded.seen_at, gone_at = excluded.gone_at
"""
_REMOVE = "DELETE FROM agents WHERE id = ?"
_WITHDRAW = """
UPDATE order_agents SET state = 'withdrawn', note = ? WHERE (order_id, agent_id) IN (
    SELECT order_id, agent_id FROM order_agents
    WHERE agent_id = ? AND state IN ('waiting', 'unroutable', 'applied', 'unchanged') LIMIT ?)
RETURNING order_id
"""
_LEFT = """
SELECT 1 FROM agents WHERE id = ?
UNION ALL SELECT 1 FROM order_agents WHERE agent_id = ? AND state IN ('waiting', 'applied', 'unchanged') LIMIT 1
"""
_UNFINISHED = """
SELECT id FROM agents a WHERE gone_at IS NOT NULL AND EXISTS (
    SELECT 1 FROM order_agents WHERE agent_id = a.id AND state IN ('waiting', 'applied', 'unchanged'))
"""
_UNSEND = "DELETE FROM outbox WHERE routing_key IN (?, ?)"
SOME = 2_000  # rows in one transaction: whoever decides something waits for the writer


class Agent(Struct, frozen=True, kw_only=True):
    """An agent as it was last heard of. `skew` is the manager's clock less the agent's, transport included."""

    heartbeat: Heartbeat
    first_seen_at: float
    seen_at: float  # the manager's clock
    gone_at: float | None = None  # nothing is expected of it from then on, until it is heard of again

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
            gone_at=row["gone_at"],
        )
        for row in connection.execute(_ALL)
    ]


def remove(connection: Connection, agent_id: str) -> None:
    """Forgets one, and what is unsent to it alone."""
    connection.execute(_REMOVE, (agent_id,))
    unsend(connection, agent_id)


def leave(connection: Connection, agent: Agent) -> None:
    """Writes down one that is gone, and takes back what is unsent to it alone."""
    put(connection, [agent])
    unsend(connection, agent.id)


def unfinished(connection: Connection) -> list[str]:
    """Who is gone, and has rows that are open still."""
    return [row["id"] for row in connection.execute(_UNFINISHED)]


def is_left(connection: Connection, agent_id: str) -> bool:
    """True when there is something of an agent still: it is on the roster, or something is open there."""
    return connection.execute(_LEFT, (agent_id, agent_id)).fetchone() is not None


def withdraw(connection: Connection, agent_id: str, why: str) -> Lapsed:
    """Expects nothing more of what is open at an agent; some of it, fewer than SOME once it is all. `why` is its note.

    An answer that comes yet still wins, and so does the agent when it is back.
    """
    rows = connection.execute(_WITHDRAW, (why, agent_id, SOME)).fetchall()
    return Lapsed(count=len(rows), closed=tuple(answers.closed(connection, {row["order_id"] for row in rows})))


def put(connection: Connection, agents: Iterable[Agent]) -> None:
    """Writes down `agents`, new ones and known ones."""
    connection.executemany(
        _PUT,
        ((each.id, codec.encode(each.heartbeat), each.first_seen_at, each.seen_at, each.gone_at) for each in agents),
    )


def unsend(connection: Connection, agent_id: str) -> None:
    """Takes back what is unsent to one alone."""
    connection.execute(_UNSEND, (f"agent.{agent_id}", f"local.{agent_id}"))
