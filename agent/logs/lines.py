"""Bytes of a log file into lines: pure, and whatever the bytes are, it goes on.

A line is its text without the newline, with invalid UTF-8 escaped, cut at MAX_LINE and then marked. What is left of
a cut line, up to its newline, is skipped. Offsets are those of the file.
"""

from msgspec import Struct

MAX_LINE = 64 * 1024  # bytes, the mark included
MARK = " [cut]"
MAX_LINES = 1_000  # in a batch: more would keep the loop busy for over 5 ms
MAX_BATCH = 256 * 1024
ENVELOPE = 8 * 1024  # what a batch weighs without its lines, and to spare
LINE_WEIGHT = 32  # of an instant, an offset and three headers
ROOM = MAX_BATCH - ENVELOPE


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """One line of a file."""

    text: str
    offset: int  # of its first byte in the file


class Cut(Struct, frozen=True, kw_only=True):
    """The lines of a stretch of a file that begins where it was asked for and ends before `next`."""

    lines: list[Line]
    next: int


def cut(chunk: bytes, offset: int, *, within_line: bool) -> Cut:
    """The whole lines of `chunk`, which lies at `offset`, as many as fit into one batch.

    With `within_line` it begins inside a line that was cut, whose rest is skipped. A last line without its newline
    is left for later, unless it is over MAX_LINE.
    """
    lines: list[Line] = []
    room = ROOM
    start = _skip(chunk, 0) if within_line else 0
    while len(lines) < MAX_LINES and start < len(chunk):
        end = chunk.find(b"\n", start, start + MAX_LINE + 1)
        if end < 0 and len(chunk) - start <= MAX_LINE:
            break
        text, size = _text(chunk[start : end if end >= 0 else start + MAX_LINE], whole=end >= 0)
        room -= size + LINE_WEIGHT
        if room < 0:
            break
        lines.append(Line(text=text, offset=offset + start))
        start = end + 1 if end >= 0 else _skip(chunk, start + MAX_LINE)
    return Cut(lines=lines, next=offset + start)


def unfinished(chunk: bytes, offset: int) -> Cut:
    """`chunk` as a line although its newline is missing: the end of a file that nobody writes to any more."""
    text, _ = _text(chunk, whole=True)
    return Cut(lines=[Line(text=text, offset=offset)], next=offset + len(chunk))


def weight(text: str) -> int:
    """Bytes that a line takes of a batch's ROOM."""
    return (len(text) if text.isascii() else len(text.encode())) + LINE_WEIGHT


def bounded(text: str) -> str:
    """`text`, cut and marked if it is longer than a line may be."""
    return text if len(text) <= MAX_LINE and len(text.encode()) <= MAX_LINE else _marked(text)


def _skip(chunk: bytes, start: int) -> int:
    """Where the line after the one at `start` begins; the end if the newline isn't there yet."""
    return chunk.find(b"\n", start) + 1 or len(chunk)


def _text(raw: bytes, *, whole: bool) -> tuple[str, int]:
    """The text of a line and its size in bytes; escapes can make it longer than it was."""
    text = raw.removesuffix(b"\r").decode("utf-8", "backslashreplace")
    size = len(text) if text.isascii() else len(text.encode())
    if whole and size <= MAX_LINE:
        return text, size
    kept = _marked(text)
    return kept, len(kept.encode())


def _marked(text: str) -> str:
    return text.encode()[: MAX_LINE - len(MARK)].decode("utf-8", "ignore") + MARK
