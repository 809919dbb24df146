"""How rules look, and how cases went."""

from collections.abc import Sequence
from itertools import groupby

import click

from manager.api.bodies.rules import RuleRow, Rules, RuleStory
from manager.cli.shows.table import counted
from manager.explaining.results import Result
from shared.tables import plain, print_table

_COLUMNS = ("ID", "LEVEL", "DESCRIPTION", "GROUPS", "FIRES", "WHERE")


def print_rules(found: Rules) -> None:
    """One line a rule."""
    print_table(_COLUMNS, [_row(each) for each in found.rules], f"none of {found.of} rules is like that")
    if found.rules:
        click.echo(f"{len(found.rules)} of {found.of} rules, {found.decoders} decoders", err=True)


def print_rule(story: RuleStory) -> None:
    """One rule as it is understood."""
    click.echo(click.style(f"{story.id}  level {story.level}  {plain(story.description)}", bold=True))
    _say("from", story.where + ("  (overwrites an earlier one)" if story.overwrite else ""))
    _say("groups", ", ".join(story.groups))
    _say("mitre", ", ".join(story.mitre))
    _say("options", ", ".join(story.options))
    _some("under", story.parents, "the root: it is tried on every line")
    for test in story.tests:
        _say("asks", test)
    if counts := story.counts:
        what = f"group {counts.group}" if counts.group else f"rule {', '.join(counts.rules)}"
        same = f", with the same {', '.join(counts.same)}" if counts.same else ""
        different = f", with another {', '.join(counts.different)}" if counts.different else ""
        _say("counts", f"{counts.frequency} × {what} in {counts.timeframe} s{same}{different}")
    if story.ignore:
        whom = "each key" if story.ignore_scope == "key" else "everybody"
        _say("silent", f"for {story.ignore} s after it fired, for {whom}")
    _some("counted by", story.counted_by)
    _some("then tries", story.children)
    _say("alert", _alert(story))
    _some("responses", story.responses, "none fires on it" if story.responds else "none: no_ar or level 0")


def print_results(results: Sequence[Result]) -> None:
    """A line for each file, and all that is wrong with a case that fails."""
    for path, some in groupby(results, key=lambda each: each.path):
        cases = list(some)
        failed = [each for each in cases if not each.passed]
        colour, word = ("red", f"{len(failed)} failed of {len(cases)}") if failed else ("green", f"{len(cases)} passed")
        click.echo(f"{click.style(word, fg=colour)}  {path}")
        for case in failed:
            _failure(case)
    failures = sum(not each.passed for each in results)
    click.echo(f"{counted(len(results), 'case')}, {failures} failed")


def _failure(case: Result) -> None:
    click.echo(f"  {click.style(plain(case.name), bold=True)}  {case.path}:{case.line}")
    for each in case.differences:
        click.echo(f"    log {each.log} (line {each.line}): expected {each.key} {each.expected}, got {plain(each.got)}")
        if each.why:
            click.echo(f"      {plain(each.why)}")


def _alert(story: RuleStory) -> str:
    if story.level == 0:
        return "none: level 0"
    return "none: noalert, it only counts" if story.noalert else "yes"


def _row(rule: RuleRow) -> tuple[str, ...]:
    return (
        rule.id,
        str(rule.level),
        rule.description,
        ", ".join(rule.groups),
        str(len(rule.responses)) if rule.responses else "",
        rule.where,
    )


def _some(name: str, rows: Sequence[RuleRow], nothing: str = "") -> None:
    for row in rows:
        _say(name, f"{row.id}  level {row.level}  {row.description}  ({row.where})")
    if not rows:
        _say(name, nothing)


def _say(name: str, text: str) -> None:
    if text:
        click.echo(f"{name + ':':<12} {plain(text)}")
