"""What became of a run: one table for people, JSON for scripts, and how to do it again."""

from collections import Counter
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.torture.verdict import COLUMNS, Finding

SHOWN = 12  # findings of each column


class Figures(Struct, frozen=True, kw_only=True):
    """What was done and what came back."""

    stories: int
    orders: int  # that were accepted, foreign ones included
    expected: int  # of each order, the agents that it is for
    answers: int  # of those, how many came, each counted once
    ends: int  # expiry events, each counted once
    repeated: int  # bodies that were published again
    kills: dict[str, int]  # by kind
    cuts: int


class Report(Struct, frozen=True, kw_only=True):
    """Seconds where a span is meant."""

    seed: int
    build: str
    again: str  # the command that does it again
    took: float
    settled: float  # from the last story's end until there was nothing left to be said
    figures: Figures
    findings: tuple[Finding, ...]
    ended: tuple[str, ...] = ()  # daemons that ended by themselves
    doubts: tuple[str, ...] = ()  # why the judge can't be believed

    @property
    def ok(self) -> bool:
        """True when the promise was kept, by a judge that saw everything."""
        return not (self.findings or self.ended or self.doubts)

    def counts(self) -> dict[str, int]:
        """Findings by column; one order on one agent is counted once in each."""
        found = Counter((each.column, each.agent, each.target, each.order_id) for each in self.findings)
        return {column: sum(key[0] == column for key in found) for column in COLUMNS}

    def as_json(self) -> dict[str, Any]:
        """The same for a script."""
        return {"ok": self.ok, **msgspec.to_builtins(self), "counts": self.counts()}


def show(report: Report, *, to_error: bool = False) -> None:
    """The table, and what is wrong with whom."""
    console = Console(stderr=to_error, highlight=False, width=None if to_error else 140)
    figures = report.figures
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    kills = ", ".join(f"{kind} {count}" for kind, count in sorted(figures.kills.items()))
    columns = {
        "orders": f"{figures.orders}",
        "answers": f"{figures.answers} of {figures.expected}",
        f"kills ({kills})": f"{sum(figures.kills.values())}",
        "cuts": f"{figures.cuts}",
        **{column: f"[{'bold red' if count else 'green'}]{count}[/]" for column, count in report.counts().items()},
    }
    for name in columns:
        table.add_column(name, justify="right")
    table.add_row(*columns.values())
    console.print()
    console.print(table)
    console.print()
    _show_findings(console, report)
    if report.ok:
        console.print(f"[green]Every order was kept to[/green], in {report.took:.0f} s.")
    else:
        console.print("Again, with the same stories, lives and cuts; where a kill strikes is the machine's doing:")
        console.print(f"  [bold]{escape(report.again)}[/bold]", soft_wrap=True)


def _show_findings(console: Console, report: Report) -> None:
    for why in report.doubts:
        console.print(f"[bold red]The judge can't be believed:[/bold red] {escape(why)}", soft_wrap=True)
    for words in report.ended:
        console.print(f"[red]ended by itself[/red]  {escape(words)}", soft_wrap=True)
    for column in COLUMNS:
        some = [each for each in report.findings if each.column == column]
        for each in some[:SHOWN]:
            words = f"{each.agent} {each.target} {each.order_id}: {each.words}"
            console.print(f"[red]{column}[/red]  {escape(words)}", soft_wrap=True)
        if len(some) > SHOWN:
            console.print(f"[red]{column}[/red]  … and {len(some) - SHOWN} more")
