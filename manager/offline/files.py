"""Log files as lines, for reading them offline: whole, by their own time, with the offset of each line's first byte.

A file that is compressed with gzip is known by its first bytes. Several files are read side by side in the order of
their lines' time, as a manager would have heard of them.
"""

import gzip
import heapq
import io
import os
import re
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from typing import BinaryIO, cast

from msgspec import Struct

from manager.correlation.events import LogLine
from shared.errors import UnreadableLog
from shared.instants import YEAR, instant

STANDARD_INPUT = "-"
MAX_LINE = 64 * 1024  # bytes; what is longer is cut there, and marked
_MARK = b" [cut]"  # as agents do: what a client wrote must not become the line's end
_AHEAD = 86_400.0  # s that a line may be later than its file's last change: clocks, zones
_GZIP = b"\x1f\x8b"
_STAMP = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ", re.ASCII)


class LogFile(Struct, frozen=True, kw_only=True):
    """A log that is open for reading. `size` is in bytes on the disk, 0 when it isn't known."""

    name: str
    stream: BinaryIO  # its text, decompressed
    raw: BinaryIO  # what is on the disk
    changed_at: float  # Unix seconds: no line is from much later
    size: int

    def done(self) -> int:
        """How many bytes of `size` were read."""
        return self.raw.tell() if self.size else 0

    def lines(self, year: int | None = None) -> Iterator[LogLine]:
        """Its lines. `year` is that of the first; without it, no line is later than the file's last change.

        A stamp without a year is read as the one nearest to the line before, so that a log may go over New Year. A
        line without a stamp has the time of the line before. Raises UnreadableLog.
        """
        name = self.name
        near, at, known = self.changed_at + _AHEAD - YEAR / 2, self.changed_at, ""
        for offset, raw in _raw_lines(self.stream, name):
            text = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
            stamp = text[:16]
            if stamp != known:
                named = instant(text, near, None, year)
                if named is not None:
                    near = at = named
                    year = None
                # `Dec 10 06:55:46 ` says all there is to say: most lines of a busy log are as old as the one before
                known = stamp if _STAMP.fullmatch(stamp) else ""
            yield LogLine(agent_id="", source=name, file=name, offset=offset, at=at, text=text)


def open_logs(names: Sequence[str]) -> list[LogFile]:
    """The logs of these names, `-` being standard input. Raises UnreadableLog for the first that can't be read."""
    return [_open(name) for name in names]


def merged(logs: Sequence[LogFile], year: int | None = None) -> Iterator[LogLine]:
    """The lines of all logs by their time; those of one log stay in its order. Raises UnreadableLog."""
    if len(logs) == 1:
        return logs[0].lines(year)
    return heapq.merge(*(log.lines(year) for log in logs), key=attrgetter("at"))


def _open(name: str) -> LogFile:
    with _explained(name):
        if name == STANDARD_INPUT:
            raw, changed_at, size = sys.stdin.buffer, time.time(), 0
        else:
            raw = open(name, "rb")  # noqa: SIM115 (it stays open while its lines are read)
            status = os.fstat(raw.fileno())
            changed_at, size = status.st_mtime, status.st_size
        start = cast(io.BufferedReader, raw).peek(len(_GZIP))
    stream = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if start.startswith(_GZIP) else raw
    return LogFile(name=name, stream=cast(BinaryIO, stream), raw=raw, changed_at=changed_at, size=size)


def _raw_lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Each line with the offset of its first byte; never more than MAX_LINE of it in memory."""
    offset, cut = 0, False
    with _explained(name):
        for raw in iter(partial(stream.readline, MAX_LINE), b""):
            whole = len(raw) < MAX_LINE or raw.endswith(b"\n")
            if not cut:
                yield offset, raw if whole else raw + _MARK
            offset += len(raw)
            cut = not whole


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except IsADirectoryError as wrong:
        raise UnreadableLog(f"{name} is a folder; name the log files in it") from wrong
    except (gzip.BadGzipFile, EOFError, zlib.error) as wrong:
        raise UnreadableLog(f"{name}: damaged gzip data: {wrong}") from wrong
    except OSError as wrong:
        raise UnreadableLog(f"{name}: can't be read: {wrong.strerror or wrong}") from wrong
