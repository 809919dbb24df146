"""Entries of the systemd journal as syslog lines: pure, and whatever an entry holds, it goes on.

A line reads as rsyslog would have written it to a file, so that rules need nothing special; its instant is the
journal's own. Control characters become `#012` and the like, as rsyslog makes them: what a program logged with a
newline in it is one line and can't pass for two.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct, field

from agent.logs import lines

FIELDS = ("MESSAGE", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "_COMM", "_PID", "_HOSTNAME")  # what journalctl is asked for
_CURSOR = re.compile(r"s=([0-9a-f]{32});i=([0-9a-f]{1,16});")
_NO_WORD = re.compile(r"[\s\[\]:]")  # would end the program's name in a syslog header
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Entry(Struct, frozen=True, kw_only=True, gc=False):
    """One entry. `sequence` and `number` name it for ever: numbers of a sequence grow, over rotation and restarts."""

    cursor: str  # journalctl's
    sequence: str
    number: int
    text: str | None  # None: it holds no message

    def same_as(self, cursor: str) -> bool:
        """True when `cursor` is this entry's."""
        return _place(cursor) == (self.sequence, self.number)


class _Fields(Struct, frozen=True, kw_only=True):
    """As `journalctl -o json` prints them: text, a list of bytes, a list of several values, or null."""

    cursor: str = field(name="__CURSOR")
    realtime: str = field(name="__REALTIME_TIMESTAMP")  # microseconds
    message: Any = field(name="MESSAGE", default=None)
    identifier: Any = field(name="SYSLOG_IDENTIFIER", default=None)
    command: Any = field(name="_COMM", default=None)
    pid: Any = field(name="_PID", default=None)
    said_pid: Any = field(name="SYSLOG_PID", default=None)
    hostname: Any = field(name="_HOSTNAME", default=None)


_decode = msgspec.json.Decoder(_Fields).decode


def entry(raw: bytes) -> Entry:
    """What one line of `journalctl -o json` says. Raises ValueError when that can't be read."""
    fields = _decode(raw)
    sequence, number = _place(fields.cursor)
    message = _bytes(fields.message)
    text = None if message is None else _line(fields, message)
    return Entry(cursor=fields.cursor, sequence=sequence, number=number, text=text)


def _place(cursor: str) -> tuple[str, int]:
    found = _CURSOR.match(cursor)
    if found is None:
        raise ValueError(f"{cursor[:100]!r} is no cursor of a journal")
    return found[1], int(found[2], 16) & (2**63 - 1)


def _line(fields: _Fields, message: bytes) -> str:
    microseconds = int(fields.realtime)
    try:
        second = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{fields.realtime} is no instant") from error
    stamp = second.replace(microsecond=microseconds % 1_000_000).isoformat(timespec="microseconds")
    program = _word(fields.identifier) or _word(fields.command) or "unknown"
    pid = _word(fields.pid) or _word(fields.said_pid)
    number = f"[{pid}]" if pid.isascii() and pid.isdecimal() else ""
    head = f"{stamp} {_word(fields.hostname) or 'localhost'} {program}{number}: "
    # no more of it than can be kept: what is escaped only grows
    said = message[: lines.MAX_LINE + 1].decode("utf-8", "backslashreplace")
    return lines.bounded(head + _CONTROL.sub(_escape, said))


def _word(value: Any) -> str:
    return _clean((_bytes(value) or b"")[:64])


@lru_cache(maxsize=1_024)  # the same few programs and hosts again and again
def _clean(raw: bytes) -> str:
    return _CONTROL.sub(_escape, _NO_WORD.sub("_", raw.decode("utf-8", "replace")))


def _escape(control: re.Match[str]) -> str:
    return f"#{ord(control[0]):03o}"


def _bytes(value: Any) -> bytes | None:
    """A field's value, the first if it has several; None when it has none or journalctl left it out."""
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, list) or not value:
        return None
    if isinstance(value[0], int):
        return _binary(value)
    return _bytes(value[0])


def _binary(value: list[Any]) -> bytes:
    try:
        return bytes(value)
    except TypeError as error:
        raise ValueError("a field is a list of bytes and of something else") from error
