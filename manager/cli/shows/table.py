"""The one look of instants and spans, for people. For programs there is one JSON document."""

import time
from datetime import datetime
from typing import Any

import click
import msgspec

from shared import durations


def as_json(document: Any) -> None:
    """One JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def counted(number: int, noun: str) -> str:
    """`1 line`, `2 lines`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def left(until: float | None, *, over: str = "0 s") -> str:
    """How long it is until then; None: for ever. `over` when it is past."""
    if until is None:
        return "until lifted"
    span = until - time.time()
    return durations.words(span) if span > 0 else over


def ago(at: float) -> str:
    return durations.words(max(0, round(time.time() - at)))


def time_of(at: float, timespec: str = "seconds") -> str:
    """An instant as people read it where this runs; with its day, unless that is today."""
    then, today = datetime.fromtimestamp(at).astimezone(), datetime.now().astimezone().date()
    time_of_day = then.time().isoformat(timespec)
    return time_of_day if then.date() == today else f"{then.date()} {time_of_day}"
