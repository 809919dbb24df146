"""Follows log files and the systemd journal and ships their lines: at once when idle, coalesced under load.

What was written while a batch was on its way is the next batch. One batch of a source is on its way at a time: the
manager drops what lies at or below the highest offset that it has of a file, so a batch that overtook one which the
broker refused would take its lines with it. Nothing is buffered here: a broker that is away leaves the lines where
they are, in the log.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from agent.logs import positions
from agent.logs.journald import Journald
from agent.logs.positions import JournalPlace, Place
from agent.logs.shipping import Shipping
from agent.logs.source import Piece, Source
from agent.logs.watching import Watching
from shared import codec
from shared.clock import Clock
from shared.errors import StoreError
from shared.messages import LogBatch
from shared.outbox import Sender
from shared.settings import FollowedLog
from shared.store import Connection, Store

SCHEMA = positions.SCHEMA
LOOK_AGAIN = 5.0  # s: for what could not be read, and for what inotify does not tell
SAVE_EVERY = 0.5  # s: a sync for every line would compete with the journal's for the disk

log = structlog.get_logger()


class Collector:
    """Follows `logs` until cancelled. `store` keeps the positions; `sender` confirms with the manager's queue."""

    def __init__(
        self,
        logs: Sequence[FollowedLog],
        agent_id: str,
        store: Store,
        sender: Sender,
        clock: Clock,
        *,
        encode: Callable[[LogBatch], bytes] = codec.encode,
    ) -> None:
        self._files = {Path(each.path).absolute(): each.from_start for each in logs if each.path}
        self._wanted = {each.name: each for each in logs if each.journal}
        self._store, self._clock = store, clock
        self._shipping = Shipping(agent_id, sender, clock, encode)
        self._watching = Watching()
        self._sources: list[Source] = []
        self._journals: list[Journald] = []
        self._unsaved: set[Source] = set()
        self._moved: set[Journald] = set()  # and not written down
        self._savable = True
        self.ready = asyncio.Event()  # what is written from now on is noticed

    @property
    def shipped(self) -> int:
        """Lines that the broker confirmed."""
        return self._shipping.shipped

    @property
    def skipped(self) -> int:
        """Lines that could not be sent in any way."""
        return self._shipping.skipped

    async def run(self) -> None:
        """Follows until cancelled, then writes down how far it came. Raises StoreError if that can't be read."""
        try:
            self._sources = [await self._source(path, from_start) for path, from_start in self._files.items()]
            self._journals = [await self._journal(each) for each in self._wanted.values()]
            await self._save()
            self.ready.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear())
                tasks.create_task(self._look_now_and_then())
                tasks.create_task(self._save_now_and_then())
                for source in self._sources:
                    tasks.create_task(self._follow(source))
                for journal in self._journals:
                    tasks.create_task(journal.follow())
        finally:
            for source in self._sources:
                source.close()
            self._watching.close()
            await self._save()

    async def _source(self, path: Path, from_start: bool) -> Source:
        places = await self._store.run(lambda connection: positions.load(connection, str(path)))
        self._watching.folder_of(path)  # first, so that nothing happens unseen after it was looked at
        source = Source(path, places, self._watching, from_start=from_start)
        source.start()
        self._unsaved.add(source)
        return source

    async def _journal(self, wanted: FollowedLog) -> Journald:
        place = await self._store.run(lambda connection: positions.load_journal(connection, wanted.name))
        since = 0.0 if wanted.from_start else self._clock.wall()
        # written down at first sight, so that what is logged before the first batch isn't lost with a crash
        journal = Journald(wanted, place or JournalPlace(since=since), self._shipping, self._moved.add)
        self._moved.add(journal)
        return journal

    async def _hear(self) -> None:
        async for number in self._watching.events():
            if number is None:
                self._look()
            for source in self._sources:
                if source.watched_as(number):
                    source.news.set()

    async def _look_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            self._look()

    def _look(self) -> None:
        for source in self._sources:
            self._watching.folder_of(source.path)
            source.look()
            source.news.set()

    async def _follow(self, source: Source) -> None:
        while True:
            source.news.clear()
            try:
                piece = source.next_piece()
            except OSError as error:
                source.say(error)
                piece = None
            if piece is None:
                await source.news.wait()
            else:
                await self._ship(source, piece)

    async def _ship(self, source: Source, piece: Piece) -> None:
        if source.name(piece.read):
            # written down before the first line goes out under it; without that a crash could choose another
            self._unsaved.add(source)
            await self._save()
        if piece.lines:
            await self._shipping.ship(str(source.path), piece.read.place.file, piece.lines, piece.next)
        else:
            await asyncio.sleep(0)  # going past what is no line may take a while, and others have a turn
        source.advance(piece)
        self._unsaved.add(source)

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY)
            await self._save()

    async def _save(self) -> None:
        """Writes positions down. If that fails they are only sent again after a restart, and dropped by the manager."""
        unsaved, moved = {source for source in self._unsaved if source.seen}, set(self._moved)
        if not unsaved and not moved:
            return
        self._unsaved -= unsaved
        self._moved -= moved
        places = [(str(source.path), source.place) for source in unsaved]
        in_journals = [(journal.name, journal.place) for journal in moved]
        try:
            await self._store.run(lambda connection: _write(connection, places, in_journals))
        except StoreError as error:
            self._unsaved |= unsaved
            self._moved |= moved
            if self._savable:  # said once, and not twice a second
                log.warning("can't write down how far the logs were read", action="positions_unsaved", error=str(error))
            self._savable = False
        else:
            self._savable = True


def _write(
    connection: Connection, places: Sequence[tuple[str, Place]], in_journals: Sequence[tuple[str, JournalPlace]]
) -> None:
    positions.save(connection, places)
    positions.save_journals(connection, in_journals)
