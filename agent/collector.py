"""Follows log files and ships their lines to the managers: at once when idle, coalesced under load.

What was written while a batch was on its way is the next batch. One batch of a file is on its way at a time: the
manager drops what lies at or below the highest offset that it has of a file, so a batch that overtook one which the
broker refused would take its lines with it. Nothing is buffered here: a broker that is away leaves the lines where
they are, in the log.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from agent.logs import positions
from agent.logs.lines import Line
from agent.logs.source import Piece, Source
from agent.logs.watching import Watching
from shared import codec
from shared.broker import Publication
from shared.clock import Clock
from shared.errors import BrokerError, Disconnected, MessageError, StoreError
from shared.ids import digest
from shared.instants import instant
from shared.messages import Cursor, LogBatch, LogLine
from shared.outbox import Sender
from shared.settings import FollowedFile
from shared.store import Store
from shared.topology import LOGS

SCHEMA = positions.SCHEMA
LOOK_AGAIN = 5.0  # s: for what could not be read, and for what inotify does not tell
SAVE_EVERY = 0.5  # s: a sync for every line would compete with the journal's for the disk
PAUSE_AFTER_NACK = 0.5  # s: a full queue doesn't empty faster for being asked again
PAUSE_AFTER_LOSS = 0.05

log = structlog.get_logger()


class Collector:
    """Follows `files` until cancelled. `store` keeps the positions; `sender` confirms with the manager's queue."""

    def __init__(
        self,
        files: Sequence[FollowedFile],
        agent_id: str,
        store: Store,
        sender: Sender,
        clock: Clock,
        *,
        encode: Callable[[LogBatch], bytes] = codec.encode,
    ) -> None:
        self._files = {Path(each.path).absolute(): each.from_start for each in files}
        self._agent_id, self._store, self._sender, self._clock = agent_id, store, sender, clock
        self._encode = encode
        self._watching = Watching()
        self._sources: list[Source] = []
        self._unsaved: set[Source] = set()
        self._savable = True
        self.ready = asyncio.Event()  # what is written from now on is noticed
        self.shipped = 0  # lines that the broker confirmed
        self.skipped = 0  # lines that could not be sent in any way

    async def run(self) -> None:
        """Follows until cancelled, then writes down how far it came. Raises StoreError if that can't be read."""
        try:
            self._sources = [await self._source(path, from_start) for path, from_start in self._files.items()]
            await self._save()
            self.ready.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear())
                tasks.create_task(self._look_now_and_then())
                tasks.create_task(self._save_now_and_then())
                for source in self._sources:
                    tasks.create_task(self._follow(source))
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
            await self._ship_lines(str(source.path), piece, piece.lines, piece.next)
        else:
            await asyncio.sleep(0)  # going past what is no line may take a while, and others have a turn
        source.advance(piece)
        self._unsaved.add(source)

    async def _ship_lines(self, path: str, piece: Piece, some: Sequence[Line], end: int) -> None:
        """Ships `some`, which end at `end`: together, or in halves, or without the one line that can't be sent."""
        try:
            publication = self._publication(path, piece.read.place.file, some, end)
        except (MessageError, ValueError, TypeError) as error:
            if len(some) == 1:
                self.skipped += 1
                log.warning("skipping a line that can't be sent", action="line_skipped", path=path, error=str(error))
                return
            half = len(some) // 2
            await self._ship_lines(path, piece, some[:half], some[half].offset)
            await self._ship_lines(path, piece, some[half:], end)
            return
        await self._send(publication)
        self.shipped += len(some)

    def _publication(self, path: str, file: str, some: Sequence[Line], end: int) -> Publication:
        now = self._clock.wall()
        lines = [LogLine(text=each.text, at=instant(each.text, now) or now, offset=each.offset) for each in some]
        first = some[0].offset
        batch = LogBatch(
            agent_id=self._agent_id,
            source=path,
            lines=tuple(lines),
            collected_at=now,
            cursor=Cursor(file=file, first=first, next=end),
        )
        return Publication(
            exchange=LOGS,
            routing_key=f"log.{self._agent_id}",
            kind="log",
            message_id=digest(self._agent_id, path, file, first, end),
            body=self._encode(batch),
        )

    async def _send(self, publication: Publication) -> None:
        """Returns when the broker has it, however long that takes."""
        said = False
        while True:
            await self._sender.writable()
            try:
                return await self._sender.send(publication)
            except Disconnected:
                await asyncio.sleep(PAUSE_AFTER_LOSS)
            except BrokerError as error:
                if not said:
                    log.warning("the broker takes no log lines; trying again", action="logs_refused", error=str(error))
                said = True
                await asyncio.sleep(PAUSE_AFTER_NACK)

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY)
            await self._save()

    async def _save(self) -> None:
        """Writes positions down. If that fails they are only sent again after a restart, and dropped by the manager."""
        unsaved = {source for source in self._unsaved if source.seen}
        if not unsaved:
            return
        self._unsaved -= unsaved
        places = [(str(source.path), source.place) for source in unsaved]
        try:
            await self._store.run(lambda connection: positions.save(connection, places))
        except StoreError as error:
            self._unsaved |= unsaved
            if self._savable:  # said once, and not twice a second
                log.warning("can't write down how far the logs were read", action="positions_unsaved", error=str(error))
            self._savable = False
        else:
            self._savable = True
