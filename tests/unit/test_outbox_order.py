"""The outbox's order: rows go out as they were put, and those that a full queue refuses hold up none behind them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from shared import outbox
from shared.broker import Publication
from shared.errors import BrokerError, Disconnected, Refused
from shared.outbox import WINDOW, Outbox
from shared.store import Store
from tests.waiting import eventually


class ABroker:
    """Confirms everything but what is for a queue that it is told to refuse, or while it is `away`."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.full: set[str] = set()
        self.away = 0  # sends that are lost yet

    async def writable(self) -> None:
        """Always."""

    def send(self, publication: Publication) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        error = self._error(publication)
        if error:
            future.set_exception(error)
        else:
            self.taken.append(publication.message_id)
            future.set_result(None)
        return future

    def _error(self, publication: Publication) -> BrokerError | None:
        if self.away:
            self.away -= 1
            return Disconnected("lost")
        return Refused("full") if publication.routing_key in self.full else None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "outbox.db", outbox.SCHEMA)
    yield one
    one.close()


async def test_refused_rows_hold_up_none_behind_them(store, monkeypatch):
    """More refused rows than a window holds: those behind are sent at once, and these when the queue takes them."""
    monkeypatch.setattr("shared.outbox.PAUSE_AFTER_NACK", 0.01)
    broker = ABroker()
    broker.full = {"agent.full"}
    _put(store, "agent.full", range(WINDOW + 10))
    _put(store, "agent.free", ["free"])
    sending = asyncio.create_task(Outbox(store, broker).run())
    await eventually(lambda: broker.taken == ["free"])
    broker.full.clear()
    await eventually(lambda: store.run_now(outbox.unsent) == 0)
    await _stop(sending)
    assert broker.taken == ["free", *map(str, range(WINDOW + 10))]


async def test_a_lost_connection_keeps_the_order(store):
    """What was on its way when the connection went is sent again before what comes after it."""
    broker = ABroker()
    broker.away = WINDOW
    _put(store, "agent.a", range(2 * WINDOW))
    sending = asyncio.create_task(Outbox(store, broker).run())
    await eventually(lambda: store.run_now(outbox.unsent) == 0)
    await _stop(sending)
    assert broker.taken == list(map(str, range(2 * WINDOW)))


def _put(store: Store, key: str, ids: Sequence[object]) -> None:
    rows = [Publication(exchange="", routing_key=key, kind="order", message_id=str(each), body=b"") for each in ids]
    store.run_now(lambda connection: outbox.put(connection, rows))


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
