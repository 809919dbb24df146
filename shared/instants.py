"""The instant that a log line itself names: pure functions, one place for both sides.

A stamp that leaves something out (the year, the zone, which of two hours when clocks go back) is read as the one
nearest to when the line was seen.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from shared.messages import LATEST

YEAR = 31_556_952.0  # s, on average

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_SECONDS = {f":{number:02}": float(number) for number in range(61)}  # 60 is a leap second
_DAY_AND_MINUTE = re.compile(r"([A-Z][a-z]{2}) ([ 0-3]\d) (\d\d):(\d\d)", re.ASCII)
# Access logs, in whose client's words a quote never stands bare: the first one opens the request.
_REQUEST = re.compile(
    r"[^\"]{0,400}\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d)(:\d\d) ([+-](?:[01]\d|2[0-3])[0-5]\d)\] \"", re.ASCII
)
# `Mon Nov 24 16:00:00 2025 `, with a fraction or in brackets: Apache's error log, vsftpd's own
_CTIME = re.compile(
    r"\[?[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d:\d\d)(:\d\d)(?:\.\d{1,9})? (\d{4})[\] ]", re.ASCII
)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d)(:\d\d)(?:[.,](\d{1,9}))?(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?", re.ASCII
)


def instant(text: str, near: float, zone: tzinfo | None = None, year: int | None = None) -> float | None:
    """The Unix seconds that `text` begins with, as RFC 3164 (`Dec 10 06:55:46`) or ISO 8601; None if it doesn't.

    Access logs have it behind the client (`[10/Dec/2025:06:55:46 +0100] "`), some files in ctime's form.
    `zone` (None: the host's) is for stamps that name none. RFC 3164 has no year: it is the one that brings the
    stamp nearest to `near` (Unix seconds), or `year`. About 1 µs a line, because a minute is worked out once.
    """
    second = _SECONDS.get(text[12:15])
    if second is None:
        return _iso(text, near, zone)
    about = int(near // YEAR) + 1970 if year is None else None
    minutes = _minutes(text[:12], about, year, zone)
    return _nearest(minutes, near) + second if minutes else None


def _iso(text: str, near: float, zone: tzinfo | None) -> float | None:
    found = _ISO.match(text)
    if found is None:
        return _of_a_server(text, near, zone)
    minute, colon_second, fraction, offset = found.groups()
    minutes = _iso_minutes(minute, zone if offset is None else _fixed(offset))
    if not minutes or colon_second not in _SECONDS:
        return None
    return _nearest(minutes, near) + _SECONDS[colon_second] + (float(f"0.{fraction}") if fraction else 0.0)


def _of_a_server(text: str, near: float, zone: tzinfo | None) -> float | None:
    """What web and FTP servers begin their own files' lines with."""
    if found := _REQUEST.match(text):
        day, month, year, minute, colon_second, offset = found.groups()
        zone = _fixed(offset)
    elif found := _CTIME.match(text):
        month, day, minute, colon_second, year = found.groups()
    else:
        return None
    minutes = _minutes(f"{month} {day} {minute}", None, int(year), zone)
    return _nearest(minutes, near) + _SECONDS[colon_second] if minutes and colon_second in _SECONDS else None


def _nearest(candidates: tuple[float, ...], near: float) -> float:
    if len(candidates) == 1:
        return candidates[0]
    return min(candidates, key=lambda each: abs(each - near))


@lru_cache(maxsize=1_024)
def _minutes(text: str, about: int | None, year: int | None, zone: tzinfo | None) -> tuple[float, ...]:
    """What `Dec 10 06:55` can mean: in `year`, or in the years around `about`."""
    found = _DAY_AND_MINUTE.fullmatch(text)
    if found is None or found[1] not in _MONTHS:
        return ()
    month, day, hour, minute = _MONTHS[found[1]], int(found[2]), int(found[3]), int(found[4])
    # 29 February can be eight years off (1896, 1904)
    around = 8 if (month, day) == (2, 29) else 1
    years = [year] if about is None else range(about - around, about + around + 1)
    return _meanings(((each, month, day, hour, minute) for each in years if each is not None), zone)


@lru_cache(maxsize=1_024)
def _iso_minutes(text: str, zone: tzinfo | None) -> tuple[float, ...]:
    fields = (int(text[:4]), int(text[5:7]), int(text[8:10]), int(text[11:13]), int(text[14:16]))
    return _meanings([fields], zone)


def _meanings(wanted: Iterable[tuple[int, int, int, int, int]], zone: tzinfo | None) -> tuple[float, ...]:
    """The instants of wall times, two for a minute that a zone has twice; none for what is no date."""
    found = set()
    for year, month, day, hour, minute in wanted:
        for fold in (0, 1):
            try:
                found.add(datetime(year, month, day, hour, minute, tzinfo=zone, fold=fold).timestamp())
            except (ValueError, OverflowError, OSError):
                continue
    return tuple(sorted(each for each in found if 0 <= each < LATEST - 61))


@lru_cache(maxsize=64)
def _fixed(offset: str) -> tzinfo | None:
    if offset == "Z":
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
