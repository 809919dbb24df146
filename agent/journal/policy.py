"""The allowlist in the journal: the latest one that a manager sent, kept with the bytes of its message.

It is used from the start on, before there is a broker. Taking one names what it ends of all that is in force.
"""

from msgspec import Struct

from agent.journal import holding
from agent.journal.holding import Hold
from shared import codec
from shared.errors import InvalidTarget, MalformedMessage
from shared.messages import Policy
from shared.store import Connection
from shared.targets import Allowlist, parse_network

_KEEP = """
INSERT INTO policy (one, version, body) VALUES (1, ?, ?)
ON CONFLICT (one) DO UPDATE SET version = excluded.version, body = excluded.body
WHERE policy.version < excluded.version
"""
_KEPT = "SELECT body FROM policy"


class Ruling(Struct, frozen=True, kw_only=True):
    """What a policy says, and its message as it came."""

    version: int
    allowlist: Allowlist
    caught_up: str  # the journal that was sent all that is in force for its agent; empty: none was
    body: bytes


NONE = Ruling(version=0, allowlist=Allowlist(), caught_up="", body=b"")


def ruling(body: bytes) -> Ruling:
    """What the policy in `body` says. Raises MessageError, also for an entry that is no network."""
    said = codec.decode(body, Policy)
    try:
        entries = [(parse_network(each.network), each.reason) for each in said.entries]
    except InvalidTarget as error:
        raise MalformedMessage(f"not a valid Policy: {error}") from error
    return Ruling(version=said.version, allowlist=Allowlist(entries), caught_up=said.caught_up, body=body)


def kept(connection: Connection) -> Ruling:
    """The one in the journal; `NONE` when no manager has sent one yet."""
    row = connection.execute(_KEPT).fetchone()
    return NONE if row is None else ruling(row["body"])


def take(connection: Connection, came: Ruling) -> list[Hold] | None:
    """Keeps `came`, and returns what it ends: all that overlaps it and isn't exempt. None for one that isn't newer."""
    if connection.execute(_KEEP, (came.version, came.body)).rowcount == 0:
        return None
    held = holding.holds(connection) if len(came.allowlist) else []
    return [each for each in held if not each.exempt and came.allowlist.protects(each.target)]
