"""The allowlist in the ledger: what people put on it, and the policy that agents were told last."""

from msgspec import Struct

from manager.ledger.schema import FOREVER
from shared import codec
from shared.messages import Policy
from shared.store import Connection
from shared.topology import POLICY

_ALL = "SELECT network, reason, issuer, added_at, until FROM allowed ORDER BY network"
_ADD = """
INSERT INTO allowed (network, reason, issuer, added_at, until) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (network) DO UPDATE SET reason = excluded.reason, issuer = excluded.issuer, added_at = excluded.added_at
WHERE excluded.reason <> '' AND excluded.reason <> allowed.reason
"""
_LONGER = "UPDATE allowed SET until = ? WHERE network = ? AND until < ?"
_END = "DELETE FROM allowed WHERE until <= ?"
_REMOVE = "DELETE FROM allowed WHERE network = ?"
_TOLD = "SELECT body FROM policy"
_TELL = """
INSERT INTO policy (one, version, body) VALUES (1, ?, ?)
ON CONFLICT (one) DO UPDATE SET version = excluded.version, body = excluded.body
"""
_OUTDATED = "DELETE FROM outbox WHERE kind = ? AND routing_key = 'all'"


class Allowed(Struct, frozen=True, kw_only=True):
    """An entry that somebody added; its network in the one spelling."""

    network: str
    reason: str
    issuer: str
    added_at: float
    until: float = FOREVER


def entries(connection: Connection) -> list[Allowed]:
    """All of them."""
    return [
        Allowed(
            network=row["network"],
            reason=row["reason"],
            issuer=row["issuer"],
            added_at=row["added_at"],
            until=row["until"],
        )
        for row in connection.execute(_ALL)
    ]


def add(connection: Connection, entry: Allowed) -> None:
    """Puts one on the list. One that is there stays as it is, unless there is another reason, or a later end, now."""
    connection.execute(_ADD, (entry.network, entry.reason, entry.issuer, entry.added_at, entry.until))
    connection.execute(_LONGER, (entry.until, entry.network, entry.until))


def remove(connection: Connection, network: str) -> bool:
    """Takes one off the list; False when it isn't on it."""
    return connection.execute(_REMOVE, (network,)).rowcount == 1


def end(connection: Connection, now: float) -> None:
    """Takes off the list what was put on it until then."""
    connection.execute(_END, (now,))


def told(connection: Connection) -> Policy | None:
    """The policy that agents were told last."""
    row = connection.execute(_TOLD).fetchone()
    return None if row is None else codec.decode(row["body"], Policy)


def tell(connection: Connection, policy: Policy, body: bytes) -> None:
    """Writes down what agents are told from now on. What is unsent of earlier ones, for all, nobody needs."""
    connection.execute(_TELL, (policy.version, body))
    connection.execute(_OUTDATED, (POLICY,))
