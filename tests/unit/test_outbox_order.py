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
        self.hung: set[str] = set()  # nothing is ever heard of what is for these
        self.unheard: list[asyncio.Future[None]] = []

    async def writable(self) -> None:
        """Always."""

    def send(self, publication: Publication) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        error = self._error(publication)
        if error:
            future.set_exception(error)
        elif publication.routing_key in self.hung:
            self.unheard.append(future)
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


async def test_a_confirm_that_does_not_come_holds_up_nobody(store, monkeypatch):
    """A queue that hangs keeps what is for it on its way, up to a limit; when the connection goes it is sent again."""
    monkeypatch.setattr("shared.outbox.SLOW", 0.01)
    monkeypatch.setattr("shared.outbox.MOST", 3 * WINDOW)
    broker = ABroker()
    broker.hung = {"agent.hung"}
    _put(store, "agent.hung", range(WINDOW + 10))
    _put(store, "agent.free", ["free"])
    sending = asyncio.create_task(Outbox(store, broker).run())
    await eventually(lambda: broker.taken == ["free"])
    _put(store, "agent.hung", range(WINDOW + 10, 5 * WINDOW))
    broker.hung.clear()
    for future in broker.unheard:
        future.set_exception(Disconnected("lost"))
    await eventually(lambda: store.run_now(outbox.unsent) == 0)
    await _stop(sending)
    assert broker.taken == ["free", *map(str, range(5 * WINDOW))]


async def test_what_is_on_its_way_has_a_limit(store, monkeypatch):
    """A queue that hangs for long doesn't fill the memory with what is for it."""
    monkeypatch.setattr("shared.outbox.SLOW", 0.01)
    monkeypatch.setattr("shared.outbox.MOST", 15)
    broker = ABroker()
    broker.hung = {"agent.hung"}
    _put(store, "agent.hung", range(20))
    _put(store, "agent.free", ["free"])
    sending = asyncio.create_task(Outbox(store, broker).run())
    await eventually(lambda: len(broker.unheard) == 15)
    broker.hung.clear()
    broker.unheard[0].set_result(None)
    await eventually(lambda: broker.taken[:1] == ["15"])
    await _stop(sending)


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
