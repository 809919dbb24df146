"""A collector on real files, and a broker that confirms when it is told to, with a manager behind it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from agent import collector
from agent.collector import Collector
from shared import codec
from shared.broker import Publication
from shared.clock import SystemClock
from shared.errors import BrokerError, Disconnected, StoreError
from shared.messages import LogBatch, LogLine
from shared.settings import FollowedLog
from shared.store import Store
from tests.waiting import eventually


class AManager:
    """A `Sender`, and the rule of who reads: a line at or below the highest offset of its file is known."""

    def __init__(self) -> None:
        self.batches: list[LogBatch] = []
        self.lines: list[LogLine] = []  # each taken once
        self.on_their_way: list[tuple[Publication, asyncio.Future[None]]] = []
        self.refusals: list[BrokerError] = []  # of the next ones that are sent
        self._positions: dict[tuple[str, str, str], int] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._confirming = True

    def send(self, publication: Publication) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.refusals:
            future.set_exception(self.refusals.pop(0))
        elif self._confirming:
            self._take(publication)
            future.set_result(None)
        else:
            self.on_their_way.append((publication, future))
        return future

    async def writable(self) -> None:
        await self._open.wait()

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    def stop_confirming(self) -> None:
        self._confirming = False

    def confirm(self) -> None:
        """Takes and confirms what is on its way, and all that comes."""
        self._confirming = True
        waiting, self.on_their_way = self.on_their_way, []
        for publication, future in waiting:
            self._take(publication)
            if not future.done():
                future.set_result(None)

    def lose(self, *, after_taking: bool) -> None:
        """The connection goes; what was on its way came through or didn't."""
        waiting, self.on_their_way = self.on_their_way, []
        for publication, future in waiting:
            if after_taking:
                self._take(publication)
            if not future.done():
                future.set_exception(Disconnected("lost"))

    def go_away(self) -> None:
        self._open.clear()

    def come_back(self) -> None:
        self._open.set()

    def _take(self, publication: Publication) -> None:
        batch = codec.decode(publication.body, LogBatch)
        assert publication.routing_key == f"log.{batch.agent_id}"
        self.batches.append(batch)
        key = (batch.agent_id, batch.source, batch.cursor.file)
        for line in batch.lines:
            assert batch.cursor.first <= line.offset < batch.cursor.next
            if line.offset > self._positions.get(key, -1):
                self._positions[key] = line.offset
                self.lines.append(line)


class MortalStore(Store):
    """Writes nothing down any more once it is `dead`."""

    dead = False

    async def run(self, work):
        if self.dead:
            raise StoreError("killed")
        return await super().run(work)


class AHost:
    """A folder with one log, a store for positions, and what it takes to start a collector and end it."""

    def __init__(self, folder: Path, manager: AManager, *, from_start: bool = False, name: str = "auth.log") -> None:
        self.log = folder / name
        self._database = folder / "collector.db"
        self.manager = manager
        self.settings = FollowedLog(path=str(self.log), from_start=from_start)
        self._rotations = 0

    @asynccontextmanager
    async def following(self, **more: object) -> AsyncIterator[Collector]:
        """A running collector, stopped as SIGTERM would."""
        one = await self.start(**more)
        try:
            yield one
        finally:
            await self.stop()

    async def start(self, **more: object) -> Collector:
        self._store = MortalStore(self._database, collector.SCHEMA)
        self._one = Collector([self.settings], "web1", self._store, self.manager, SystemClock(), **more)
        self._running = asyncio.create_task(self._one.run())
        await eventually(lambda: self._one.ready.is_set() or self._running.done())
        return self._one

    def has_begun(self) -> bool:
        """True when the collector has begun to read the file that it is at, or that one is empty."""
        files = self._one._sources[0]._files
        return not files or bool(files[0].place.file) or not files[0].size

    async def stop(self, *, killed: bool = False) -> None:
        """Ends it; what a killed one had not written down yet is never written."""
        self._store.dead = killed
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running
        self._store.close()

    def write(self, *lines: str, to: Path | None = None) -> None:
        self.append("".join(f"{line}\n" for line in lines).encode(), to=to)

    def append(self, data: bytes, to: Path | None = None) -> None:
        with (to or self.log).open("ab") as file:
            file.write(data)

    def shift(self) -> Path:
        """Makes room for a rotated file, as logrotate does; the name for it."""
        for number in range(self._rotations, 0, -1):
            Path(f"{self.log}.{number}").rename(f"{self.log}.{number + 1}")
        self._rotations += 1
        return Path(f"{self.log}.1")

    def rotate(self) -> Path:
        """By renaming; the log is there again, empty."""
        rotated = self.shift()
        self.log.rename(rotated)
        self.log.touch()
        return rotated

    def copy_and_truncate(self) -> None:
        self.shift().write_bytes(self.log.read_bytes())
        self.log.open("wb").close()

    async def shipped(self, lines: Iterable[str], within: float = 5.0) -> None:
        """Waits until exactly `lines` came to the manager, in order."""
        wanted = list(lines)
        await eventually(lambda: len(self.manager.texts) >= len(wanted), within)
        assert self.manager.texts == wanted
