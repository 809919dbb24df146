"""The one look of tables, and of instants and spans in them: for people. For programs there is one JSON document."""

import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared import durations
from shared.command_line import WIDE

# what is in these isn't cut in two where a terminal is narrow: somebody will copy it
WHOLE = frozenset(
    ("TARGET", "NETWORK", "ADDRESS", "ORDER", "ID", "AGENT", "ACTION", "STATE", "WHEN", "SINCE", "LEFT", "AGE")
)
STYLES = {
    "applied": "green",
    "unchanged": "green",
    "living": "green",
    "failed": "red",
    "refused": "red",
    "overdue": "red",
    "unroutable": "red",
    "silent": "yellow",
    "stale": "yellow",
    "waiting": "yellow",
    "unsent": "yellow",
    "on-hold": "yellow",
}


def as_json(document: Any) -> None:
    """One JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    """Rows under their headings; `nothing`, on standard error, when there are none."""
    if not rows:
        click.echo(nothing, err=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in WHOLE)
    for row in rows:
        table.add_row(*(Text(plain(cell), style=STYLES.get(cell, "")) for cell in row))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def plain(text: str) -> str:
    """`text` without what could steer a terminal: agents and logs may say anything."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


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
