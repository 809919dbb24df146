"""A SQLite file with one writer thread: the only module that opens a database.

`run` is one transaction: what it returned from is on the disk (WAL, `synchronous=FULL`) and survives SIGKILL.
SQL stays in the subset that PostgreSQL shares.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from shared.errors import StoreError

Result = TypeVar("Result")
Connection = sqlite3.Connection
Row = sqlite3.Row


class Store:
    """Opens `path` (":memory:" for none), applies `schema` (idempotent DDL) and runs work in its own thread."""

    def __init__(self, path: Path | str, schema: str) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection = self._thread.submit(self._open, schema).result()

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """What `work(connection)` returns, committed; rolled back if it raises. Raises StoreError for SQLite's."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)

    def run_now(self, work: Callable[[Connection], Result]) -> Result:
        """The same, blocking, for command lines and start-up."""
        return self._thread.submit(self._transaction, work).result()

    def close(self) -> None:
        """Waits for what is running, then closes. Twice is safe."""
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    def _open(self, schema: str) -> Connection:
        with _translated(self.path):
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=True, timeout=10)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.executescript(schema)
            return connection

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
        raise StoreError(f"{path}: {error}") from error
