"""A log file that is open: its identity, what comes next in it, and whether it is still the file that was read.

A descriptor follows its file through renaming and deletion, and keeps its inode from being given to another.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from agent.logs import lines
from agent.logs.positions import Place

CHUNK = lines.MAX_BATCH
BEFORE = 64  # bytes before the position that are kept to recognise the file
HEAD = lines.MAX_LINE  # bytes of the first line, at most, that its identity is made of


class Opened:
    """An open file and the place in it. Reads are of the page cache as a rule; they raise OSError."""

    def __init__(self, fd: int, place: Place) -> None:
        self.fd, self.place = fd, place
        self.inode = os.fstat(fd).st_ino
        self.watch: int | None = None

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def read(self) -> bytes | None:
        """What comes after the position, at most CHUNK; None when the file is no longer what was read."""
        before = self.place.before
        data = os.pread(self.fd, len(before) + CHUNK, self.place.position - len(before))
        return data[len(before) :] if data.startswith(before) else None

    def moved(self, shipped: bytes) -> Place:
        """The place after `shipped`, which was read at the position."""
        place = self.place
        before = (place.before + shipped)[-BEFORE:]
        return replace(place, position=place.position + len(shipped), before=before)

    def name(self, taken: Iterable[str], seq: int) -> Place:
        """The place with an identity, made now that the first line is complete, other than those `taken`."""
        identity = f"{self.inode:x}-{_head(self.fd)}"
        number, file = 0, identity
        while file in taken:
            number += 1
            file = f"{identity}-{number}"
        return replace(self.place, file=file, inode=self.inode, seq=seq)

    def to_end(self) -> None:
        """Moves to the end of the last whole line."""
        size = self.size
        start = max(0, size - lines.MAX_LINE)
        tail = os.pread(self.fd, size - start, start)
        newline = tail.rfind(b"\n")
        if newline < 0 and start == 0:
            return
        length = newline + 1 or len(tail)
        self.place = Place(position=start + length, before=tail[:length][-BEFORE:])

    def close(self) -> None:
        os.close(self.fd)


def open_log(path: Path, place: Place) -> Opened:
    """The file at `path`, at `place`. Raises OSError, also for what is no regular file."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)  # a FIFO must not hold us up
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(0, "not a regular file", str(path))
    return Opened(fd, place)


def continues(fd: int, place: Place) -> bool:
    """True when the file holds what was read of it up to `place`."""
    before = place.before
    if os.pread(fd, len(before), place.position - len(before)) != before:
        return False
    return place.file.split("-")[1:2] in ([], [_head(fd)])


def _head(fd: int) -> str:
    """A hash of the first line."""
    first = os.pread(fd, HEAD, 0).partition(b"\n")[0]
    return hashlib.blake2b(first, digest_size=8).hexdigest()
