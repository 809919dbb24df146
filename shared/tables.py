"""The one look of tables, for people. No id, address or name is cut in two in them: it will be copied.

Where a terminal is too narrow for that, each row is a paragraph of its own, its cells with their headings before them.
"""

import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import click
from rich.console import Console
from rich.text import Text

from shared.command_line import WIDE

# columns whose cells stay on one line; elsewhere a cell may be folded between words
WHOLE = frozenset(("TARGET", "NETWORK", "ADDRESS", "ORDER", "ID", "NAME", "AGENT", "STATE"))
STYLES = {
    "applied": "green",
    "unchanged": "green",
    "living": "green",
    "failed": "red",
    "refused": "red",
    "overdue": "red",
    "unroutable": "red",
    "silent": "yellow",
    "gone": "yellow",
    "stale": "yellow",
    "waiting": "yellow",
    "unsent": "yellow",
    "on-hold": "yellow",
}
LONG = 32  # longer words, paths for the most part, may be cut; longer cells may take more than two lines
_GAP = 2


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    """Rows under their headings; `nothing`, on standard error, when there are none."""
    if not rows:
        click.echo(nothing, err=True)
        return
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(laid_out(console, columns, rows), soft_wrap=True)


def laid_out(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Text:
    """A table as wide as the console at the most, or a paragraph for each row."""
    columns, rows = _without_empty(columns, [[plain(cell) for cell in row] for row in rows])
    widths = _widths(columns, rows, console.width)
    if widths is None:
        return Text("\n".join(_paragraph(columns, row, console.width) for row in rows))
    heading = [Text(column, style="bold") for column in columns]
    cells = [heading, *([Text(cell, style=STYLES.get(cell, "")) for cell in row] for row in rows)]
    return Text("\n").join(line for row in cells for line in _lines(console, row, widths))


def plain(text: str) -> str:
    """`text` without what could steer a terminal: agents and logs may say anything."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def _without_empty(columns: Sequence[str], rows: list[list[str]]) -> tuple[Sequence[str], list[list[str]]]:
    """Without the columns that have neither a heading nor a word in them."""
    kept = [at for at, column in enumerate(columns) if column or any(row[at] for row in rows)]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """How wide each column is, the widest ones folded first; None when something would have to be cut in two."""
    least, widths = [], []
    for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
        widths.append(max(_cells(each) for each in (column, *cells)))
        least.append(widths[-1] if column in WHOLE else max(_least(each) for each in (column, *cells)))
    room -= _GAP * (len(columns) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max(range(len(widths)), key=lambda at: widths[at] if widths[at] > least[at] else -1)
        widths[widest] -= 1
    return widths


def _least(cell: str) -> int:
    """How narrow a cell may be: no word is cut, and what is short is folded once at the most."""
    words = cell.split()
    longest = min(max(map(_cells, words), default=0), LONG)
    if len(words) < 2 or _cells(cell) > LONG:
        return longest
    halves = ((" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words)))
    return min(max(_cells(first), _cells(second)) for first, second in halves)


def _lines(console: Console, row: Sequence[Text], widths: Sequence[int]) -> Iterator[Text]:
    """The lines of one row, each cell in its column."""
    columns = [cell.wrap(console, width, overflow="fold") for cell, width in zip(row, widths, strict=True)]
    for cells in zip_longest(*columns, fillvalue=Text()):
        line = Text()
        for cell, width in zip(cells, widths, strict=True):
            line.append_text(cell).append(" " * (width - cell.cell_len + _GAP))
        line.rstrip()
        yield line


def _paragraph(columns: Sequence[str], row: Sequence[str], room: int) -> str:
    """The first cell, and the others with their headings, as many on a line as there is room for."""
    named = [f"{column.lower()}: {cell}" if column else cell for column, cell in zip(columns, row, strict=True) if cell]
    if row[0]:
        named[0] = row[0]
    held = [each.replace(" ", "\xa0") if _cells(each) <= room - _GAP else each for each in named]
    lines = textwrap.wrap(
        (" " * _GAP).join(held), room, subsequent_indent=" " * _GAP, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\xa0", " ")


def _cells(text: str) -> int:
    """How many columns of a terminal it takes."""
    return Text(text).cell_len
