"""How many new targets each response has ordered within a minute, and which breakers have tripped.

In the transaction of the orders that are counted. A response never has more rows than its limit, because what is over
it is not counted any more.
"""

from msgspec import Struct

from shared.store import Connection

MINUTE = 60.0  # s: what is counted, and how long a tripped breaker has to be quiet

_SWEEP = "DELETE FROM breaker_targets WHERE response = ? AND (at <= ? OR at > ?)"
_COUNT = "SELECT count(*) FROM breaker_targets WHERE response = ?"
_KNOWN = "SELECT 1 FROM breaker_targets WHERE response = ? AND target = ?"
_TAKE = "INSERT INTO breaker_targets (response, target, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_QUIET = "DELETE FROM breakers WHERE response = ? AND (last_at <= ? OR last_at > ?)"
_TRIPPED = "SELECT 1 FROM breakers WHERE response = ?"
_TRIP = """
INSERT INTO breakers (response, tripped_at, last_at) VALUES (?, ?, ?)
ON CONFLICT (response) DO UPDATE SET last_at = excluded.last_at
"""
_RESET = ("DELETE FROM breakers WHERE response = ?", "DELETE FROM breaker_targets WHERE response = ?")
_ALL = "SELECT response FROM breakers WHERE last_at > ? AND last_at <= ? ORDER BY response"
_FORGET = ("DELETE FROM breaker_targets WHERE at <= ?", "DELETE FROM breakers WHERE last_at <= ?")


class Breakers:
    """The count at `now`, within the transaction of `connection`; each response's is read once."""

    def __init__(self, connection: Connection, now: float) -> None:
        self._connection, self._now = connection, now
        self._counts: dict[str, _Count] = {}
        self._tripped: list[str] = []

    def lets(self, response: str, counts: str, limit: int) -> bool:
        """True when an order counted as `counts` may go out. Once over `limit`, only what was let through before may.

        A tripped breaker stays so until somebody approves, or nothing was over the limit for a minute.
        """
        count = self._count(response)
        if not count.tripped and count.targets < limit:
            count.targets += self._connection.execute(_TAKE, (response, counts, self._now)).rowcount
            return True
        if self._connection.execute(_KNOWN, (response, counts)).fetchone():
            return True
        if not count.tripped:
            count.tripped = True
            self._tripped.append(response)
        self._connection.execute(_TRIP, (response, self._now, self._now))
        return False

    def just_tripped(self) -> tuple[str, ...]:
        """The responses that went over their limit since this was asked last."""
        tripped, self._tripped = tuple(self._tripped), []
        return tripped

    def _count(self, response: str) -> "_Count":
        if response not in self._counts:
            # a clock that was set back must not leave anything behind that never gets old
            span = (response, self._now - MINUTE, self._now)
            self._connection.execute(_SWEEP, span)
            self._connection.execute(_QUIET, span)
            (targets,) = self._connection.execute(_COUNT, (response,)).fetchone()
            tripped = self._connection.execute(_TRIPPED, (response,)).fetchone() is not None
            self._counts[response] = _Count(targets=targets, tripped=tripped)
        return self._counts[response]


class _Count(Struct, kw_only=True):
    """Of one response."""

    targets: int
    tripped: bool


def reset(connection: Connection, response: str) -> None:
    """Somebody approved: the response counts afresh."""
    for statement in _RESET:
        connection.execute(statement, (response,))


def tripped(connection: Connection, now: float) -> list[str]:
    """The responses whose breaker holds back what is new."""
    return [row["response"] for row in connection.execute(_ALL, (now - MINUTE, now))]


def forget(connection: Connection, now: float) -> None:
    """Drops what counts no longer, also of responses that are gone."""
    for statement in _FORGET:
        connection.execute(statement, (now - MINUTE,))
