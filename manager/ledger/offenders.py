"""Who offended, how often, and where its block still stands: what escalation is judged by.

Kept for each response and target over all agents, and over restarts.
"""

from msgspec import Struct

from manager.ledger.schema import FOREVER
from manager.ledger.views import Offence
from shared.store import Connection, Row

_FIND = "SELECT offence, ends_at FROM offenders WHERE response = ? AND target = ?"
_PUT = """
INSERT INTO offenders (response, target, offence, ends_at) VALUES (?, ?, ?, ?)
ON CONFLICT (response, target) DO UPDATE SET offence = excluded.offence, ends_at = excluded.ends_at
"""
_END = "UPDATE offenders SET ends_at = ? WHERE target = ? AND ends_at > ?"
# What the responses still block of it counts on.
_END_UNHELD = """
UPDATE offenders SET ends_at = ? WHERE target = ? AND ends_at > ? AND NOT EXISTS (
    SELECT 1 FROM orders o WHERE o.target = offenders.target AND o.until > ? AND o.response = offenders.response
        AND o.phase = 'released' AND o.lasting = 1 AND o.dry_run = 0 AND o.lifted_by IS NULL)
"""
_UNDO_FIRST = "DELETE FROM offenders WHERE response = ? AND target = ? AND offence <= 1"
_UNDO = "UPDATE offenders SET offence = offence - 1, ends_at = ? WHERE response = ? AND target = ?"
_FORGET = "DELETE FROM offenders WHERE ends_at < ?"
_LIST = "SELECT response, target, offence, ends_at FROM offenders WHERE ends_at >= ?"
_ON_TARGET = " AND target = ?"
_OF_RESPONSE = " AND response = ?"
_NEWEST = " ORDER BY ends_at DESC, target, response LIMIT ?"
_PARDON = "DELETE FROM offenders WHERE target = ?"


class Offender(Struct, frozen=True, kw_only=True):
    """A target's standing with one response."""

    offence: int  # 1 for the first
    ends_at: float  # of its last block; FOREVER until lifted


class Offenders(Struct, frozen=True, kw_only=True):
    """Whom to list."""

    target: str | None = None  # in the one spelling
    response: str | None = None
    limit: int = 50


def listed(connection: Connection, wanted: Offenders, memory: float, now: float) -> list[Offence]:
    """Who is remembered, whose block ends last first. `memory` is for how many seconds after a block's end."""
    filters = ((_ON_TARGET, wanted.target), (_OF_RESPONSE, wanted.response))
    select = _LIST + "".join(clause for clause, value in filters if value) + _NEWEST
    values = [value for _, value in filters if value]
    rows = connection.execute(select, (now - memory, *values, wanted.limit))
    return [_offence(row, memory) for row in rows]


def pardon(connection: Connection, wanted: Offenders, memory: float, now: float) -> list[Offence]:
    """Forgets what is remembered of a target, or what of it one response remembers: its next offence is a first one."""
    found = listed(connection, wanted, memory, now)
    of_response = _OF_RESPONSE if wanted.response else ""
    connection.execute(_PARDON + of_response, [each for each in (wanted.target, wanted.response) if each])
    return found


def _offence(row: Row, memory: float) -> Offence:
    lasts = row["ends_at"] >= FOREVER
    return Offence(
        response=row["response"],
        target=row["target"],
        offence=row["offence"],
        ends_at=None if lasts else row["ends_at"],
        forgotten_at=None if lasts else row["ends_at"] + memory,
    )


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


def end_unheld(connection: Connection, target: str, now: float) -> None:
    """Some orders on `target` are lifted: what it does is a new offence for a response that has no other there."""
    connection.execute(_END_UNHELD, (now, target, now, now))


def undo(connection: Connection, response: str, target: str, now: float) -> None:
    """The last offence of `target` was none: nothing was done about it."""
    connection.execute(_UNDO_FIRST, (response, target))
    connection.execute(_UNDO, (now, response, target))


def forget(connection: Connection, before: float) -> int:
    """Forgets whose last block ended `before`; how many."""
    return connection.execute(_FORGET, (before,)).rowcount
