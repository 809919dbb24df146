"""How `thwart correlate` prints: a listing for people, one JSON object a line for programs, or totals alone."""

import json
import sys
from collections import Counter
from datetime import datetime
from typing import Any, Literal, Protocol

import click
import msgspec

from manager.cli.shows.table import counted
from manager.cli.shows.words import in_words
from manager.correlation.alerts import agent_of, described
from manager.offline.finding import Finding, Tally

_SERIOUS = 10  # the level from which an alert stands out
_NAMED = 10  # sources that a summary names
_COLUMNS = "{:<19}  {:>6}  {:>5}  {:<15}  {:<10}  {}"


class Printer(Protocol):
    """Prints findings as they come, and at the end what it came to."""

    listing: bool  # whether `print` prints anything

    def print(self, finding: Finding) -> None:
        """One finding."""

    def close(self, tally: Tally, seconds: float) -> None:
        """The end of a run that took so many seconds."""


def printer(output: Literal["table", "json"], *, summary: bool) -> Printer:
    """The printer for these options."""
    if summary:
        return JsonSummary() if output == "json" else Summary()
    return JsonLines() if output == "json" else Listing()


class Listing:
    """A line for each alert, its orders under it."""

    listing = True

    def __init__(self) -> None:
        self._write, self._colour = sys.stdout.write, sys.stdout.isatty()
        self._begun = False

    def print(self, finding: Finding) -> None:
        if not self._begun:
            self._say(_COLUMNS.format("TIME", "RULE", "LEVEL", "SOURCE", "HOST", "DESCRIPTION"), bold=True)
            self._begun = True
        firing = finding.firing
        rule = firing.rule
        columns = (_time(firing.at), rule.id, rule.level, finding.source, agent_of(firing), described(firing))
        self._say(_COLUMNS.format(*columns), fg="red" if rule.level >= _SERIOUS else None)
        for order in finding.orders:
            self._say(f"{'':19}  → {in_words(order)}", fg="yellow")
        for refusal in finding.refusals:
            self._say(f"{'':19}  – {refusal.response} does nothing: {refusal.reason}: {refusal.detail}", dim=True)

    def close(self, tally: Tally, seconds: float) -> None:
        if self._begun:
            self._write("\n")
        orders = f", {counted(tally.orders, 'order')}" if tally.orders else ""
        found = f"{counted(tally.lines, 'line')}, {counted(tally.rules.total(), 'alert')}{orders}"
        self._say(f"{found}; {counted(len(tally.sources), 'source')}")

    def _say(self, text: str, **style: Any) -> None:
        text = _plain(text)
        self._write(f"{click.style(text, **style) if self._colour else text}\n")


class JsonLines:
    """Each alert and each order as one JSON object a line, in the shapes that go over the wire."""

    listing = True

    def print(self, finding: Finding) -> None:
        _put({"type": "alert", **msgspec.to_builtins(finding.alert)})
        for order in finding.orders:
            _put({"type": "order", **msgspec.to_builtins(order)})

    def close(self, tally: Tally, seconds: float) -> None:
        pass


class Summary:
    """Totals for people."""

    listing = False

    def __init__(self) -> None:
        self._descriptions: dict[str, tuple[int, str]] = {}

    def print(self, finding: Finding) -> None:
        rule = finding.firing.rule
        self._descriptions.setdefault(rule.id, (rule.level, rule.description))

    def close(self, tally: Tally, seconds: float) -> None:
        click.echo(f"lines    {tally.lines:>11,}  in {seconds:.2f} s, {_rate(tally, seconds):,} a second")
        click.echo(f"alerts   {tally.rules.total():>11,}")
        for rule, count in tally.rules.most_common():
            level, description = self._descriptions[rule]
            click.echo(f"  {rule:<6} {count:>11,}  level {level:<2}  {_plain(description)}")
        click.echo(f"sources  {len(tally.sources):>11,}")
        for source, count in tally.sources.most_common(_NAMED):
            click.echo(f"  {_plain(source):<15} {count:>11,}")
        click.echo(f"orders   {tally.orders:>11,}")


class JsonSummary:
    """Totals as one JSON object."""

    listing = False

    def print(self, finding: Finding) -> None:
        pass

    def close(self, tally: Tally, seconds: float) -> None:
        _put(
            {
                "type": "summary",
                "lines": tally.lines,
                "alerts": tally.rules.total(),
                "rules": _ordered(tally.rules),
                "sources": _ordered(tally.sources),
                "orders": tally.orders,
                "seconds": round(seconds, 3),
                "lines_per_second": _rate(tally, seconds),
            }
        )


def _put(fields: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")


def _ordered(counter: Counter[str]) -> dict[str, int]:
    return dict(counter.most_common())


def _rate(tally: Tally, seconds: float) -> int:
    return round(tally.lines / seconds) if seconds > 0 else 0


def _time(at: float) -> str:
    """Wall time where this runs, as the lines were read."""
    return datetime.fromtimestamp(at).isoformat(" ", "seconds")  # noqa: DTZ006


def _plain(text: str) -> str:
    """`text` without characters that would do something to a terminal: a log holds what an attacker sent."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
