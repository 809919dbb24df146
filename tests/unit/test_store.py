"""A store keeps what it said it kept: whole transactions, and nothing of those that failed."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import StoreError
from shared.store import Connection, Store, reading

SCHEMA = "CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY);"
WRITER = f"""
import sys
from pathlib import Path
from shared.store import Store

store = Store(Path(sys.argv[1]), {SCHEMA!r})
for number in range(1_000_000):
    store.run_now(lambda c: c.executemany("INSERT INTO numbers VALUES (?)", [(2 * number,), (2 * number + 1,)]))
    print(2 * number + 1, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "store.db", SCHEMA)
    yield one
    one.close()


def add(*numbers: int):
    return lambda connection: connection.executemany("INSERT INTO numbers VALUES (?)", [(each,) for each in numbers])


def numbers(connection: Connection) -> list[int]:
    return [row["number"] for row in connection.execute("SELECT number FROM numbers ORDER BY number")]


async def test_what_work_returns_is_returned_and_committed(store: Store) -> None:
    """One run is one transaction, also for who reads with a connection of their own."""
    assert await store.run(lambda connection: add(1, 2)(connection).rowcount) == 2
    with reading(Path(store.path)) as other:
        assert numbers(other) == [1, 2]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            add(3)(other)


@pytest.mark.parametrize("error", [RuntimeError("ours"), sqlite3.OperationalError("its own"), KeyboardInterrupt()])
async def test_work_that_fails_leaves_nothing(store: Store, error: BaseException) -> None:
    """Whatever is raised in the middle, all of it is rolled back, and the next one works."""

    def half(connection: Connection) -> None:
        add(1)(connection)
        raise error

    expected = StoreError if isinstance(error, sqlite3.Error) else type(error)
    with pytest.raises(expected):
        store.run_now(half)
    await store.run(add(2))
    assert await store.run(numbers) == [2]


async def test_errors_of_the_database_are_ours_and_name_the_file(store: Store) -> None:
    """A violated constraint or a wrong statement comes as StoreError, with the cause kept."""
    await store.run(add(1))
    with pytest.raises(StoreError, match=r"store\.db: UNIQUE constraint failed") as raised:
        await store.run(add(2, 1))
    assert isinstance(raised.value.__cause__, sqlite3.IntegrityError)
    assert await store.run(numbers) == [1]


@pytest.mark.parametrize("contents", [None, b"not a database at all, but long enough to look at" * 100])
def test_what_is_no_database_is_an_error_that_names_it(tmp_path: Path, contents: bytes | None) -> None:
    """A folder in its place, or another file: said when it is opened."""
    path = tmp_path / "store.db"
    path.mkdir() if contents is None else path.write_bytes(contents)
    with pytest.raises(StoreError, match=r"store\.db"):
        Store(path, SCHEMA)


def test_reading_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    """A command that looks at a store never creates one."""
    with pytest.raises(StoreError, match=r"store\.db"), reading(tmp_path / "store.db"):
        pass
    assert not list(tmp_path.iterdir())


def test_transactions_of_many_threads_are_one_after_the_other(store: Store) -> None:
    """One writer thread: a read and a write in one run see nobody else in between."""

    def next_one(connection: Connection) -> None:
        add(len(numbers(connection)))(connection)

    threads = [threading.Thread(target=lambda: [store.run_now(next_one) for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.run_now(numbers) == list(range(80))


def test_a_killed_process_keeps_what_was_committed_and_nothing_by_halves(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing: every transaction that was reported is there, and each is whole."""
    path = tmp_path / "store.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    reported = [int(writer.stdout.readline()) for _ in range(50)]
    writer.send_signal(signal.SIGKILL)
    reported += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    writer.wait()
    writer.stdout.close()
    store = Store(path, SCHEMA)
    found = store.run_now(numbers)
    store.close()
    assert found == list(range(len(found))) and len(found) % 2 == 0
    assert reported[-1] + 1 <= len(found) <= reported[-1] + 3, "at most one more than was reported"


def test_commits_are_synced(tmp_path: Path) -> None:
    """What makes a commit outlast the power: write-ahead log, and a sync for each commit."""
    store = Store(tmp_path / "store.db", SCHEMA)
    names = ("journal_mode", "synchronous", "foreign_keys")
    modes = store.run_now(lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in names])
    store.close()
    assert modes == ["wal", 2, 1]


def test_closing_waits_for_what_is_under_way_and_twice_is_fine(tmp_path: Path) -> None:
    """Nothing that was begun is cut off."""
    store = Store(tmp_path / "store.db", SCHEMA)
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        begun.set()
        go_on.wait(5)
        add(1)(connection)

    writing = threading.Thread(target=store.run_now, args=(slow,))
    writing.start()
    begun.wait(5)
    closing = threading.Thread(target=store.close)
    closing.start()
    go_on.set()
    closing.join()
    writing.join()
    store.close()
    with reading(tmp_path / "store.db") as other:
        assert numbers(other) == [1]
