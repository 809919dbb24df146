"""What is still to be sent: rows that stay until the broker has confirmed them. Both sides use this one.

A row is put in the transaction that decides it, so that a crash can neither lose it nor send what was not decided.
It may be sent twice; its readers know it by its id.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog
from msgspec import Struct

from shared.broker import Publication
from shared.errors import BrokerError, Refused, Unroutable
from shared.store import Connection, Row, Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    message_id TEXT NOT NULL,
    body BLOB NOT NULL,
    expires_at REAL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    died_in TEXT NOT NULL
);
"""
_PUT = """
INSERT INTO outbox (exchange, routing_key, kind, message_id, body, expires_at, reason, detail, died_in)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_UNSENT = "SELECT * FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?"
_FORGET = "DELETE FROM outbox WHERE seq = ?"
_COUNT = "SELECT count(*) FROM outbox"
_WAITING = "SELECT body FROM outbox WHERE kind = ? ORDER BY seq"

WINDOW = 1_000  # rows that are sent at once
SLOW = 0.2  # s after which a confirm isn't waited for any more: one queue without a leader would hold up all others
MOST = 4 * WINDOW  # rows on their way, those included
PAUSE_AFTER_NACK = 0.5  # s: a full queue doesn't empty faster for being asked again

log = structlog.get_logger()


class Sender(Protocol):
    """What the outbox needs of a publisher; `broker.Publisher` is one."""

    def send(self, publication: Publication) -> asyncio.Future[None]:
        """A future that is done when the broker confirmed; fails with Unroutable, Refused or Disconnected."""

    async def writable(self) -> None:
        """Returns when connected and not blocked."""


Hook = Callable[[Connection, Sequence[Publication]], None]


def put(connection: Connection, publications: Iterable[Publication]) -> None:
    """Adds rows, in the caller's transaction. Call `Outbox.wake` once it is committed."""
    connection.executemany(
        _PUT,
        (
            (p.exchange, p.routing_key, p.kind, p.message_id, p.body, p.expires_at, p.reason, p.detail, p.died_in)
            for p in publications
        ),
    )


def unsent(connection: Connection) -> int:
    """How many rows wait for a confirm."""
    (count,) = connection.execute(_COUNT).fetchone()
    return int(count)


def waiting(connection: Connection, kind: str) -> list[bytes]:
    """The bodies of the rows of one kind that wait for a confirm, oldest first."""
    return [row["body"] for row in connection.execute(_WAITING, (kind,))]


class Outbox:
    """Sends the rows of `store` in order, pipelined, and deletes what was confirmed.

    `confirmed` runs in the transaction that deletes the rows. What no queue took is deleted with them, because
    sending it again would not help; who misses it will say so.
    """

    def __init__(
        self,
        store: Store,
        sender: Sender,
        *,
        confirmed: Hook = lambda connection, publications: None,
    ) -> None:
        self._store, self._sender, self._confirmed = store, sender, confirmed
        self._after = 0  # the last row of a window that was refused: it must not hold up those behind it
        self._on_way: dict[int, _Sent] = {}  # by seq, oldest first
        self._work = asyncio.Event()
        self._idle = asyncio.Event()

    def wake(self) -> None:
        """Says that rows were committed."""
        self._idle.clear()
        self._work.set()

    async def drained(self) -> None:
        """Returns when every row that was put before has been sent and deleted."""
        self.wake()
        await self._idle.wait()

    async def run(self) -> None:
        """Sends until cancelled. Rows that an earlier run left come first."""
        try:
            while True:
                await self._sender.writable()
                self._work.clear()
                if not await self._send_some():
                    if not self._work.is_set() and not self._on_way:
                        self._idle.set()
                    await self._work.wait()
        finally:
            for each in self._on_way.values():
                each.confirm.cancel()
            self._on_way.clear()

    async def _send_some(self) -> bool:
        """Sends one window of rows, and settles what was confirmed; False when there was nothing to do."""
        after, room = self._after, min(WINDOW, MOST - len(self._on_way))
        self._after = 0
        fresh = await self._fresh(after, room) if room else []
        for row in fresh:
            publication = _of(row)
            self._on_way[row["seq"]] = _Sent(publication=publication, confirm=self._sender.send(publication))
        await self._wait_for([self._on_way[row["seq"]].confirm for row in fresh])
        outcomes = [
            (seq, each.publication, each.confirm.exception())
            for seq, each in self._on_way.items()
            if each.confirm.done()
        ]
        for seq, _, _ in outcomes:
            del self._on_way[seq]
        await self._settle(outcomes)
        return bool(fresh or outcomes) or after > 0

    async def _fresh(self, after: int, room: int) -> list[Row]:
        """The first rows behind `after` that aren't on their way."""
        limit = room + len(self._on_way)
        rows = await self._store.run(lambda connection: connection.execute(_UNSENT, (after, limit)).fetchall())
        return [row for row in rows if row["seq"] not in self._on_way][:room]

    async def _wait_for(self, confirms: "Sequence[asyncio.Future[None]]") -> None:
        """Returns when all are done, or when one takes too long: its row is settled whenever that comes."""
        if confirms:
            _, late = await asyncio.wait(confirms, timeout=SLOW)
            for each in late:
                each.add_done_callback(lambda _: self.wake())

    async def _settle(self, sent: list[tuple[int, Publication, BaseException | None]]) -> None:
        done = [each[:2] for each in sent if each[2] is None or isinstance(each[2], Unroutable)]
        if done:
            await self._store.run(lambda connection: self._forget(connection, done))
        if lost := sum(isinstance(outcome, Unroutable) for _, _, outcome in sent):
            log.warning("no queue took some messages: somebody has deleted one", action="outbox_lost", count=lost)
        for _, _, outcome in sent:
            if outcome is not None and not isinstance(outcome, BrokerError):
                raise outcome
        if any(isinstance(outcome, Refused) for _, _, outcome in sent):
            log.warning("the broker refuses messages, a queue is full; trying again", action="outbox_refused")
            self._after = sent[-1][0]
            await asyncio.sleep(PAUSE_AFTER_NACK)

    def _forget(self, connection: Connection, done: list[tuple[int, Publication]]) -> None:
        connection.executemany(_FORGET, [(seq,) for seq, _ in done])
        self._confirmed(connection, [publication for _, publication in done])


class _Sent(Struct, frozen=True, kw_only=True):
    """A row that the broker was sent."""

    publication: Publication
    confirm: "asyncio.Future[None]"


def _of(row: Row) -> Publication:
    return Publication(
        exchange=row["exchange"],
        routing_key=row["routing_key"],
        kind=row["kind"],
        message_id=row["message_id"],
        body=row["body"],
        expires_at=row["expires_at"],
        reason=row["reason"],
        detail=row["detail"],
        died_in=row["died_in"],
    )
