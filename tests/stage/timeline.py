"""What the demo shows a person: what happened, where, and how long after the log line that began it."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

NARROWEST = 120  # columns where there is no terminal to ask
Latencies = Mapping[str, Mapping[str, float]]  # agent -> stage -> milliseconds


class Timeline:
    """Prints to standard error when standard output is for a machine."""

    def __init__(self, *, to_error: bool = False) -> None:
        self.began = time.time()
        self._console = Console(stderr=to_error, highlight=False)
        if not self._console.is_terminal:
            self._console = Console(stderr=to_error, highlight=False, width=NARROWEST)

    def chapter(self, title: str) -> None:
        """A heading."""
        self._console.print()
        self._console.print(f"[bold]{escape(title)}[/bold]")

    def say(self, where: str, what: str, *, at: float | None = None, after: float | None = None) -> None:
        """Something that happened on `where` at `at` (default: now), `after` seconds after its log line."""
        row = Table.grid(padding=(0, 1))
        row.add_column(width=8, justify="right", style="dim")
        row.add_column(width=9, justify="right", style="cyan")
        row.add_column(width=9, style="bold")
        row.add_column(ratio=1)
        when = f"{(at or time.time()) - self.began:.2f} s"
        row.add_row(when, "" if after is None else f"+{_span(after)}", escape(where), what)
        self._console.print(row)

    def good(self, where: str, what: str) -> None:
        """Something that was looked at, and is as it should be."""
        self.say(where, f"[green]✓[/green] {escape(what)}")

    def bad(self, where: str, what: str) -> None:
        """Something that is not as it should be."""
        self.say(where, f"[bold red]✗ {escape(what)}[/bold red]")

    def small_print(self, words: Mapping[str, str]) -> None:
        """What daemons said last, by name."""
        for name, said in words.items():
            self._console.print(f"[dim]{escape(name)}: {escape(said)}[/dim]", soft_wrap=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Shows that something is still to come, where a terminal can take it away again."""
        with self._console.status(f"[dim]{escape(what)}[/dim]"):
            yield

    def summary(self, latencies: Latencies, closing: Iterable[str], *, ok: bool) -> None:
        """The figures, and a sentence or two."""
        if latencies:
            self.chapter("From the log line to the block, slowest of each host's blocks")
            self._console.print(Padding(_table(latencies), (0, 0, 0, 9)))
        self._console.print()
        for sentence in closing:
            self._console.print(f"[bold {'green' if ok else 'red'}]{escape(sentence)}[/]")


def quoted(line: str) -> str:
    """A log line, or another text that others wrote, as it is."""
    return f"[italic]{escape(line)}[/italic]"


def _table(latencies: Latencies) -> Table:
    stages: Sequence[str] = list(next(iter(latencies.values())))
    table = Table(box=None, header_style="dim", padding=(0, 3, 0, 0))
    table.add_column("host")
    for stage in stages:
        table.add_column(stage.replace("_to_", " → ").replace("_", " "), justify="right")
    for agent, figures in latencies.items():
        table.add_row(agent, *(f"{figures[stage]:.1f} ms" for stage in stages))
    return table


def _span(seconds: float) -> str:
    return f"{seconds * 1_000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
