"""What is still to be sent: rows that stay until the broker has confirmed them. Both sides use this one.

A row is put in the transaction that decides it, so that a crash can neither lose it nor send what was not decided.
It may be sent twice; its readers know it by its id.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

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

WINDOW = 1_000  # rows on their way at once
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
        while True:
            await self._sender.writable()
            self._work.clear()
            if not await self._send_some():
                if not self._work.is_set():
                    self._idle.set()
                await self._work.wait()

    async def _send_some(self) -> bool:
        """Sends one window of rows; False when there was none at all."""
        after = self._after
        rows = await self._store.run(lambda connection: connection.execute(_UNSENT, (after, WINDOW)).fetchall())
        self._after = 0
        if not rows:
            return after > 0
        sent = [(row["seq"], publication, self._sender.send(publication)) for row in rows for publication in [_of(row)]]
        outcomes = await asyncio.gather(*(future for _, _, future in sent), return_exceptions=True)
        await self._settle(
            [(seq, publication, outcome) for (seq, publication, _), outcome in zip(sent, outcomes, strict=True)]
        )
        return True

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
