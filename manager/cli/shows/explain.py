"""How an explanation looks: in phases, as `wazuh-logtest` answers, with colours on a terminal."""

import click

from manager.cli.shows.table import time_of
from manager.cli.shows.words import in_words
from manager.explaining.explanation import Attempt, Counting, Decoding, Explained, Explanation, Responding
from shared.tables import plain

_SERIOUS = 10  # the level from which an alert stands out
_SHOWN = 90  # characters of an expression
_OF_OTHERS = ("decoded_as", "program_name")  # tests by which rules for other programs fail


def print_explained(told: Explained) -> None:
    """Each line in phases."""
    for number, line in enumerate(told.lines, 1):
        if number > 1:
            click.echo()
        _line(line, number, len(told.lines))


def _line(line: Explanation, number: int, of: int) -> None:
    _phase(1, "Completed pre-decoding.", f"line {number} of {of}" if of > 1 else "")
    _value("full event", line.text)
    header = line.header
    for name in ("timestamp", "hostname", "program_name", "pid"):
        if text := getattr(header, name):
            _value(name, text)
    if header.message != line.text:
        _value("message", header.message)
    if header.repeats > 1:
        _note(f"it stands for {header.repeats} lines, and counts as often")
    _note(f"taken for {time_of(line.at)}")
    _decoded(line.decoder)
    _filtered(line)
    if line.fired:
        _responded(line)


def _decoded(decoder: Decoding | None) -> None:
    click.echo()
    _phase(2, "Completed decoding." if decoder else "No decoder matched.")
    if decoder is None:
        return
    _value("name", decoder.label, f"{decoder.because} ({decoder.where})")
    if decoder.child:
        _value("child", decoder.child, f"{decoder.child_because} ({decoder.child_where})")
    named = ""
    for field in decoder.fields:
        by = f"{field.dialect} {short(field.expression)} ({field.where})"
        _value(field.name, field.value, "" if by == named else by)
        named = by
    for expression in decoder.unmatched:
        _note(f"found nothing: {short(expression)}")


def _filtered(line: Explanation) -> None:
    click.echo()
    _phase(3, "Completed filtering (rules)." if line.rule else "No rule matched.")
    others = [each for each in line.tried if each.outcome == "failed" and each.test.startswith(_OF_OTHERS)]
    for attempt in line.tried:
        if attempt not in others:
            _attempt(attempt)
    if others:
        _note(f"{len(others)} more for other decoders and programs")
    if not line.rule:
        return
    colour = "red" if line.level >= _SERIOUS else "yellow" if line.fired else None
    _value("id", line.rule, line.where, fg=colour)
    _value("level", str(line.level), fg=colour)
    _value("description", line.description, fg=colour)
    for name, words in (("groups", line.groups), ("mitre", line.mitre)):
        if words:
            _value(name, ", ".join(words))
    if line.counted > 1:
        _value("counted", f"{line.counted} lines")
    for counting in line.counts_for:
        _note(_counting(counting))
    if line.silence:
        _note(f"no alert: {line.silence}")
    else:
        click.echo(click.style("**Alert to be generated.", fg="green", bold=True))


def _attempt(attempt: Attempt) -> None:
    mark, colour = {"matched": ("✓", "green"), "failed": ("✗", None), "silent": ("∅", "yellow")}[attempt.outcome]
    head = f"{'  ' * attempt.depth}{mark} {attempt.rule}"
    why = f"{short(attempt.test)}: {attempt.why}" if attempt.test else attempt.description
    dim = attempt.outcome == "failed"
    click.echo(f"\t{click.style(head, fg=colour, dim=dim)}  {click.style(plain(why), dim=dim)}")


def _counting(counting: Counting) -> str:
    if counting.why:
        return f"doesn't count for {counting.rule}: {counting.why}"
    key = f" from {' '.join(counting.key.values())}" if counting.key else ""
    how_far = f"{counting.count} of {counting.needed}{key} in {counting.timeframe} s"
    return f"counts for {counting.rule}: {how_far}"


def _responded(line: Explanation) -> None:
    click.echo()
    _phase(4, "Completed responding." if line.responses else "No response.")
    for response in line.responses:
        _response(response)
    for order in line.orders:
        click.echo(f"\t{click.style(f'→ {plain(in_words(order))}', fg='yellow', bold=True)}")
    if line.note:
        _note(line.note)
    elif not line.orders:
        _note("nothing would be ordered")


def _response(response: Responding) -> None:
    fires = response.reaction in ("ordered", "joined", "in-force")
    mark, colour = ("✓", "green") if fires else ("!", "yellow") if response.reaction == "refused" else ("✗", None)
    head = f"{mark} {response.response}"
    why = response.why if response.reaction != "in-force" else f"nothing new: {response.why}"
    click.echo(f"\t{click.style(plain(head), fg=colour)}  {plain(why)}  {click.style(response.where, dim=True)}")


def short(text: str) -> str:
    """An expression as far as a line of a terminal has room for it; JSON has all of it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _phase(number: int, text: str, aside: str = "") -> None:
    head = click.style(f"**Phase {number}: {text}", bold=True)
    click.echo(f"{head}  {click.style(aside, dim=True)}" if aside else head)


def _value(name: str, text: str, aside: str = "", fg: str | None = None) -> None:
    shown = f"\t{name}: {click.style(_quoted(text), fg=fg)}"
    click.echo(f"{shown}  {click.style(plain(aside), dim=True)}" if aside else shown)


def _quoted(text: str) -> str:
    """As `wazuh-logtest` quotes, and without what could steer a terminal."""
    return f"'{plain(text)}'"


def _note(text: str) -> None:
    click.echo(f"\t{plain(text)}")
