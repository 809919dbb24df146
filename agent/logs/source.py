"""One followed path: the files that it had and has, read one after the other, each to its end.

A file is done when it is at its end and its successor has something in it: then whoever writes has moved on.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from agent.logs import lines, rotation
from agent.logs.lines import Line
from agent.logs.opened import Opened, continues, open_log
from agent.logs.positions import Place
from agent.logs.watching import Watching

NOTHING = -1  # no file's inode

log = structlog.get_logger()


class Piece(Struct, frozen=True, kw_only=True):
    """A stretch of a file, to be shipped. Of no lines: there is nothing in it to ship, only to go past."""

    read: Opened
    lines: list[Line]
    chunk: bytes  # what was read
    next: int  # the offset that it ends before


class Source:
    """What is at `path`, and what rotation made of it. `places` is what was written down about it, the latest last."""

    def __init__(self, path: Path, places: Sequence[Place], watching: Watching, *, from_start: bool) -> None:
        self.path = path
        self._places = {each.file: each for each in places}
        self._watching = watching
        self._from_start = from_start
        self._files: deque[Opened] = deque()  # the one being read first; the last is, or was, at the path
        self._trouble = ""
        self.news = asyncio.Event()  # something may have been written, or moved

    def watched_as(self, number: int | None) -> bool:
        """True when `number` is the watch of one of its files."""
        return number is not None and any(each.watch == number for each in self._files)

    @property
    def place(self) -> Place:
        """What is to be written down now: the file begun last."""
        return next(reversed(self._places.values()), Place())

    @property
    def seen(self) -> bool:
        """False as long as something is at the path that could not be opened: its first sight is still to come."""
        return bool(self._places)

    def start(self) -> None:
        """Finds the file that was being read, wherever it is now, and those after it."""
        try:
            if self.place.inode and not self._go_on_after(self.place):
                self._go_on_with(rotation.begun_again(self.path, self.place.inode))
        except OSError as error:
            self.say(error)
        self.look()
        if not self._files and not self._trouble:
            log.warning(
                "there is no such log file yet; it is followed as soon as there is",
                action="log_awaited",
                path=str(self.path),
            )

    def look(self) -> None:
        """Notices that another file is at the path now. Cheap, and safe at any time."""
        try:
            if not self.seen:
                self._begin_at_first_sight()
            last = self._files[-1].inode if self._files else NOTHING
            if self.path.stat().st_ino != last:
                self._add_after(last)
            if len(self._files) > 1:
                self._add_after(self._files[0].inode)  # the last may have been copied and truncated before its turn
        except FileNotFoundError:
            return
        except OSError as error:
            self.say(error)
        else:
            self._trouble = ""

    def next_piece(self) -> Piece | None:
        """What is to be shipped next; None: nothing until there is news. Raises OSError."""
        while self._files:
            read = self._files[0]
            done = self._has_successor()  # asked before the last read: what came after it is not missed
            chunk = read.read()
            if chunk is None:
                self._replaced(read)
            elif piece := self._cut(read, chunk, done):
                return piece
            elif not done:
                return None
            else:
                self._add_after(read.inode)  # between the two may be one that was copied and truncated since
                self._close(self._files.popleft())
        return None

    def _cut(self, read: Opened, chunk: bytes, done: bool) -> Piece | None:
        """The next piece in `chunk`; the last line of a file that is done needs no newline."""
        place = read.place
        found = lines.cut(chunk, place.position, within_line=place.within_line)
        if done and chunk and found.next == place.position:
            found = lines.unfinished(chunk, place.position)
        length = found.next - place.position
        return Piece(read=read, lines=found.lines, chunk=chunk[:length], next=found.next) if length else None

    def name(self, read: Opened) -> bool:
        """Gives a file its identity; False if it has one."""
        if read.place.file:
            return False
        self._keep(read, read.name(self._places, self.place.seq + 1))
        return True

    def advance(self, piece: Piece) -> None:
        """Moves past what was shipped."""
        self._keep(piece.read, piece.read.moved(piece.chunk))

    def close(self) -> None:
        """Closes every file."""
        while self._files:
            self._close(self._files.popleft())

    def _keep(self, opened: Opened, place: Place) -> None:
        """Takes note of the place in a file, which makes it the one begun last."""
        latest = self.place.seq
        opened.place = place if place.seq >= latest else replace(place, seq=latest + 1)
        self._places.pop(place.file, None)
        self._places[place.file] = opened.place

    def _has_successor(self) -> bool:
        return len(self._files) > 2 or (len(self._files) == 2 and self._files[1].size > 0)

    def _begin_at_first_sight(self) -> None:
        try:
            opened = open_log(self.path, Place())
        except FileNotFoundError:
            self._places[""] = Place()
            return
        if not self._from_start:
            opened.to_end()
        self._hold(opened)
        if opened.place.position:
            self.name(opened)
        else:
            self._places[""] = Place(inode=opened.inode)

    def _go_on_after(self, place: Place) -> bool:
        """Opens what is to be read after `place`: the rest of its file, and what came after that. False: not found."""
        rest = rotation.rest_of(self.path, place)
        if rest is None and place.position:
            log.warning(
                "the log file that was read is gone or was truncated; going on with the one that is there now",
                action="log_replaced",
                path=str(self.path),
                read_to=place.position,
            )
        return self._go_on_with(rest)

    def _go_on_with(self, first: Opened | None) -> bool:
        if first is not None:
            self._hold(first, first=True)
            self._add_after(first.inode)
        return first is not None

    def _replaced(self, current: Opened) -> None:
        """What was read of the file is no longer in it: the rest may be in a copy, and what is in it now is new."""
        self._go_on_after(current.place)
        current.place = Place()

    def _add_after(self, inode: int) -> None:
        """Puts the files that came after the one with `inode` where they belong among those that are open."""
        found = rotation.open_after(self.path, inode)
        after = {each.inode for each in found}
        held = {each.inode: each for each in self._files}
        self._files = deque(each for each in self._files if each.inode not in after)
        for each in found:
            if each.inode in held:
                each.close()
                self._files.append(held[each.inode])
            else:
                each.place = self._recognise(each)
                self._hold(each)

    def _hold(self, opened: Opened, *, first: bool = False) -> None:
        opened.watch = self._watching.file(opened.fd)
        self._files.insert(0 if first else len(self._files), opened)

    def _recognise(self, opened: Opened) -> Place:
        """The place in a file that was read before, or its start."""
        for place in reversed(self._places.values()):
            if place.file and place.inode == opened.inode and continues(opened.fd, place):
                return place
        return Place()

    def _close(self, opened: Opened) -> None:
        self._watching.forget(opened.watch)
        opened.close()

    def say(self, error: OSError) -> None:
        """Warns once of each trouble."""
        if str(error) != self._trouble:
            log.warning(
                "can't read a log file; give it to this program's user, and it is followed from then on",
                action="log_unreadable",
                path=str(self.path),
                error=str(error),
            )
        self._trouble = str(error)
