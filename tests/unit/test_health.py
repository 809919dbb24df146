"""Live and ready: judged beside the loop and on the real disk, answered by threads."""

import asyncio
import json
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from shared import status
from shared.health import Health
from shared.store import Store
from tests.running import running
from tests.stage.guard import Guard
from tests.stage.small_disk import SmallDisk
from tests.waiting import wait_for

SHORT = 0.2  # s instead of 5, so that no test waits for long


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "store.db", "")
    yield one
    one.close()


async def test_a_loop_that_turns_is_live_and_one_that_is_blocked_is_not(store: Store) -> None:
    """The thread that answers sees it, though the loop itself would say that all is well once it gets to it."""
    health = Health(store, lambda: (), still=SHORT)
    seen = threading.Event()

    def watch() -> None:
        wait_for(lambda: not health.look().live)
        seen.set()

    async with running(health.run()):
        assert (await asyncio.to_thread(health.look)).live
        watching = threading.Thread(target=watch)
        watching.start()
        assert seen.wait(5), "blocks the loop"
        assert "the loop has not turned for" in health.look().hung[0]


async def test_what_waits_for_a_broker_is_live_and_not_ready(store: Store) -> None:
    """Two things: the first would be mended by a new start, the second would not."""
    why = ["the broker is away"]
    health = Health(store, lambda: why)
    state = await asyncio.to_thread(health.look)
    assert (state.live, state.ready, state.unready) == (True, False, ("the broker is away",))
    why.clear()
    assert (await asyncio.to_thread(health.look)).ready


@pytest.mark.root
def test_a_full_disk_shows_and_is_no_hanging(guard: Guard, tmp_path: Path) -> None:
    """Also while SQLite has space of its own left; a new start would not help, so the watchdog isn't told."""
    disk = SmallDisk(guard, tmp_path / "small")
    store = Store(tmp_path / "small" / "store.db", "CREATE TABLE IF NOT EXISTS t (x)")
    store.run_now(lambda connection: connection.execute("PRAGMA wal_autocheckpoint = 4"))
    for _ in range(20):
        store.run_now(lambda connection: connection.execute("INSERT INTO t VALUES (zeroblob(1000))"))
    assert Health(store, lambda: ()).look().live
    disk.fill()
    health = Health(store, lambda: ())
    assert "free some space there" in health.look().dead[0]
    assert (health.look().live, health.look().ready) == (False, False)
    assert not health.hangs()
    disk.free()
    assert wait_for(lambda: health.look().live)
    store.close()


def test_a_database_that_somebody_else_has_locked_is_not_writable(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit is tried, and not only the disk; trials don't pile up behind one that waits."""
    monkeypatch.setattr("shared.health.FRESH", 0.0)
    tried, probe = [], store._probe
    monkeypatch.setattr(store, "_probe", lambda: tried.append(probe()))
    with sqlite3.connect(tmp_path / "store.db") as other:
        other.execute("BEGIN IMMEDIATE")
        health = Health(store, lambda: (), still=SHORT / 4)
        for _ in range(8):
            assert "nothing could be written down" in str(health.look().hung)
    afterwards: list[str] = []

    def is_well() -> bool:
        afterwards.append(str(health.look().dead))
        return "written down" not in afterwards[-1]

    assert wait_for(is_well)
    assert len(tried) <= 1 + len(afterwards), "the one that waited, and those since"


def test_a_store_that_is_closed_is_not_writable(tmp_path: Path) -> None:
    """Whoever asks in the last moment hears that, and no traceback."""
    store = Store(tmp_path / "store.db", "")
    health = Health(store, lambda: ())
    store.close()
    assert "it is closed" in health.look().dead[0]


@pytest.fixture
def served(store: Store) -> Callable[[str], tuple[int, str]]:
    """GET of a path: status and body. Not ready."""
    listener = socket.create_server(("127.0.0.1", 0))
    status.serve(listener, Health(store, lambda: ("the broker is away",)), lambda: b"figures\n")
    port = listener.getsockname()[1]

    def get(path: str) -> tuple[int, str]:
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    return get


def test_who_asks_and_says_nothing_uses_nothing_up(store: Store) -> None:
    """Each open connection is a thread and a file, and the daemon needs files for its scripts and its broker."""
    listener = socket.create_server(("127.0.0.1", 0))
    status.serve(listener, Health(store, lambda: ()), lambda: b"figures\n")
    before = threading.active_count()
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(status.MOST + 10)
        ]
        silent[-1].settimeout(5)
        assert silent[-1].recv(1) == b""
        assert threading.active_count() - before <= status.MOST
    wait_for(lambda: threading.active_count() <= before)
    with urlopen(f"http://127.0.0.1:{listener.getsockname()[1]}/metrics", timeout=5) as answer:
        assert answer.read() == b"figures\n"


async def test_pages_are_answered_while_the_loop_is_blocked(served: Callable[[str], tuple[int, str]]) -> None:
    """This test is the loop, and it waits for the answer."""
    assert served("/metrics") == (200, "figures\n")
    assert served("/live?verbose=1") == (200, '{"live":true,"why":[]}')
    code, body = served("/ready")
    assert (code, json.loads(body)) == (503, {"ready": False, "why": ["the broker is away"]})
    assert served("/etc/passwd")[0] == 404
