"""A long reading holds up no writer, sees what was committed, and can't write."""

import asyncio
import threading

import pytest

from shared.errors import StoreError
from shared.store import Store


@pytest.fixture
def store(tmp_path):
    one = Store(tmp_path / "store.db", "CREATE TABLE IF NOT EXISTS things (name TEXT);")
    yield one
    one.close()
    one.close()


async def test_a_writer_does_not_wait_for_a_reader(store):
    """A transaction goes through while a reading is under way, which doesn't see it yet."""
    begun, go_on = threading.Event(), threading.Event()

    def slowly(connection) -> tuple[int, int]:
        before = _count(connection)
        begun.set()
        go_on.wait(10)
        return before, _count(connection)

    reading = asyncio.ensure_future(store.read(slowly))
    await asyncio.to_thread(begun.wait, 10)
    await store.run(lambda connection: connection.execute("INSERT INTO things VALUES ('a')"))
    go_on.set()
    assert await reading == (0, 0)
    assert await store.read(_count) == 1


async def test_a_reading_can_not_write(store):
    """What is meant as a reading stays one."""
    with pytest.raises(StoreError, match="readonly"):
        await store.read(lambda connection: connection.execute("INSERT INTO things VALUES ('a')"))
    assert await store.read(_count) == 0


def _count(connection) -> int:
    (count,) = connection.execute("SELECT count(*) FROM things").fetchone()
    return count
