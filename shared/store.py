"""A SQLite file with one writer thread: the only module that opens a database.

`run` is one transaction: what it returned from is on the disk (WAL, `synchronous=FULL`) and survives SIGKILL. `read`
has a thread and a connection of its own, so that a long listing holds up nobody who decides something.
SQL stays in the subset that PostgreSQL shares.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

from shared.errors import StoreDamaged, StoreError

Result = TypeVar("Result")
Connection = sqlite3.Connection
Row = sqlite3.Row

ROOM = 64 * 1024  # bytes that must be free where a store is, for it to be taken for writable
_DAMAGED = "it is damaged: move it and its -wal file away to start without what was in it, or put a copy in its place"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_ADVICE = {
    sqlite3.SQLITE_FULL: "free some space there",
    sqlite3.SQLITE_CANTOPEN: "see that its folder is there and may be written to",
    sqlite3.SQLITE_READONLY: "see that it and its folder may be written to",
    sqlite3.SQLITE_BUSY: "see what else has it open",
}


class Store:
    """Opens the file at `path`, applies `schema` (idempotent DDL) and runs work in its own thread."""

    def __init__(self, path: Path | str, schema: str, *, check: bool = False) -> None:
        """With `check` the whole file is read first: 0.15 s for 100 MB. Raises StoreError, StoreDamaged."""
        self.path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection = self._thread.submit(self._open, schema, check).result()
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._reading: Connection | None = None
        self._closed = False

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """What `work(connection)` returns, committed; rolled back if it raises. Raises StoreError for SQLite's."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)

    async def read(self, work: Callable[[Connection], Result]) -> Result:
        """What `work(connection)` finds, on a connection that can't write and that holds up no writer.

        It sees what was committed when it began. Raises StoreError.
        """
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, work)

    def run_now(self, work: Callable[[Connection], Result]) -> Result:
        """The same, blocking, for command lines and start-up."""
        return self._thread.submit(self._transaction, work).result()

    def probe(self) -> Future[None]:
        """Tries whether something can be written: a commit, and room for more where the file is.

        From any thread. What it answers raises StoreError. The disk is tried too, because SQLite goes on for a while in
        space that it has already.
        """
        try:
            return self._thread.submit(self._probe)
        except RuntimeError:
            closed: Future[None] = Future()
            closed.set_exception(StoreError(f"{self.path}: it is closed"))
            return closed

    def size(self) -> int:
        """Bytes on the disk: the file, and what is to be moved into it yet."""
        files = Path(self.path), Path(f"{self.path}-wal")
        return sum(each.stat().st_size for each in files if each.exists())

    def close(self) -> None:
        """Waits for what is running, then closes. Twice is safe."""
        if self._closed:
            return
        self._closed = True
        if self._reading is not None:
            self._reader.submit(self._reading.close).result()
        self._reader.shutdown()
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    def _open(self, schema: str, check: bool) -> Connection:
        with _translated(self.path), ExitStack() as on_failure:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=True, timeout=10)
            on_failure.callback(connection.close)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            if check:
                self._check(connection)
            connection.executescript(schema)
            on_failure.pop_all()
            return connection

    def _check(self, connection: Connection) -> None:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StoreDamaged(f"{self.path}: {found}; {_DAMAGED}", path=self.path)

    def _read(self, work: Callable[[Connection], Result]) -> Result:
        with _translated(self.path):
            if self._reading is None:
                self._reading = sqlite3.connect(self.path, isolation_level=None, timeout=10)
                self._reading.row_factory = sqlite3.Row
                self._reading.execute("PRAGMA query_only = ON")
            self._reading.execute("BEGIN")
            try:
                return work(self._reading)
            finally:
                self._reading.execute("COMMIT")

    def _probe(self) -> None:
        self._transaction(lambda connection: connection.execute("PRAGMA user_version = 1"))
        try:
            with TemporaryFile(dir=Path(self.path).parent) as room:
                os.posix_fallocate(room.fileno(), 0, ROOM)
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; free some space there") from error

    def _transaction(self, work: Callable[[Connection], Result]) -> Result:
        with _translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            return result


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """A read-only connection to a store that another process may be writing. Raises StoreError if there is none."""
    with _translated(path), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


@contextmanager
def _translated(path: Path | str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest only says more exactly where
        if code in _DAMAGE:
            raise StoreDamaged(f"{path}: {error}; {_DAMAGED}", path=path) from error
        raise StoreError("; ".join(filter(None, (f"{path}: {error}", _ADVICE.get(code))))) from error
