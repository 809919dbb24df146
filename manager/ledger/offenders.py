"""Who offended, how often, and where its block still stands: what escalation is judged by.

Kept for each response and target over all agents, and over restarts.
"""

from msgspec import Struct

from shared.store import Connection

_FIND = "SELECT offence, ends_at FROM offenders WHERE response = ? AND target = ?"
_PUT = """
INSERT INTO offenders (response, target, offence, ends_at) VALUES (?, ?, ?, ?)
ON CONFLICT (response, target) DO UPDATE SET offence = excluded.offence, ends_at = excluded.ends_at
"""
_END = "UPDATE offenders SET ends_at = ? WHERE target = ? AND ends_at > ?"
_FORGET = "DELETE FROM offenders WHERE ends_at < ?"


class Offender(Struct, frozen=True, kw_only=True):
    """A target's standing with one response."""

    offence: int  # 1 for the first
    ends_at: float  # of its last block; FOREVER until lifted


def find(connection: Connection, response: str, target: str) -> Offender | None:
    """What is known about `target`, or None."""
    row = connection.execute(_FIND, (response, target)).fetchone()
    return None if row is None else Offender(offence=row["offence"], ends_at=row["ends_at"])


def put(connection: Connection, response: str, target: str, offender: Offender) -> None:
    """Writes down an offence, in the transaction of its order."""
    connection.execute(_PUT, (response, target, offender.offence, offender.ends_at))


def end(connection: Connection, target: str, now: float) -> None:
    """The blocks of `target` are lifted: what it does from now on is a new offence."""
    connection.execute(_END, (now, target, now))


def forget(connection: Connection, before: float) -> int:
    """Forgets whose last block ended `before`; how many."""
    return connection.execute(_FORGET, (before,)).rowcount
