"""How `thwart check-config` prints: tables and `file:line` for people, one JSON document for programs."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click
import msgspec

from manager.api.bodies.responses import ResponseView
from manager.checking import Report
from manager.cli.shows.responses import breaker, command, place, repeats, selectors, timeout
from manager.cli.shows.table import counted
from manager.explaining.rulebook import Rulebook
from manager.responses.configuration import Remark
from manager.responses.foreign_sections import Skipped
from shared.tables import print_table
from shared.targets import text_of

_COLUMNS = ("LINE", "COMMAND", "LOCATION", "FIRES ON", "TIMEOUT", "THEN", "BREAKER")


def as_json(report: Report) -> None:
    """One document: what is honoured, errors, warnings."""
    document = {
        "ok": not report.errors,
        "files": [{"path": str(each.path), "kind": each.kind} for each in report.files],
        "responses": msgspec.to_builtins(_all(report)),
        "commands": [
            {"name": each.name, "action": each.action, "arguments": each.arguments, "where": each.where}
            for configuration in report.configurations
            for each in configuration.commands
        ],
        "white_list": list(_white_list(report)),
        "rules": len(report.ruleset.rules),
        "decoders": len(report.ruleset.decoders),
        "skipped": [_skipped(each) for each in _not_ours(report)],
        "errors": [_remark(each) for each in report.errors],
        "warnings": [_remark(each) for each in report.warnings],
        "notes": [_remark(each) for each in report.notes],
    }
    click.echo(json.dumps(document, indent=2))


def as_table(report: Report) -> None:
    """The responses of each file, the white list, and everything to be said about them."""
    responses = _all(report)
    for path, some in groupby(responses, key=_path):
        click.echo(click.style(path, bold=True))
        print_table(_COLUMNS, [_row(each) for each in some], "")
    if listed := list(_white_list(report)):
        click.echo(f"never blocked (white_list): {', '.join(listed)}")
    _print_skipped(report)
    for remark in report.errors:
        click.echo(f"{click.style('error', fg='red', bold=True)}: {_line(remark)}")
    for remark in report.warnings:
        click.echo(f"{click.style('warning', fg='yellow')}: {_line(remark)}")
    for remark in report.notes:
        click.echo(f"note: {_line(remark)}")
    click.echo(_summary(report, responses))


def _print_skipped(report: Report) -> None:
    """One line for each kind of section, with what does the same here; the options of <global> in one."""
    for configuration in report.configurations:
        for each in configuration.skipped:
            instead = f"; here: {each.instead}" if each.instead else ""
            click.echo(f"not ours, skipped: <{each.name}> (line {_lines(each)}){instead}")
        if configuration.not_ours:
            options = ", ".join(f"{each.name} (line {_lines(each)})" for each in configuration.not_ours)
            click.echo(f"not ours, skipped: in <global> all but <white_list>: {options}")


def _lines(skipped: Skipped) -> str:
    return ", ".join(map(str, skipped.lines))


def _not_ours(report: Report) -> Iterator[tuple[str, Skipped]]:
    for configuration in report.configurations:
        yield from (("", each) for each in configuration.skipped)
        yield from (("global", each) for each in configuration.not_ours)


def _row(each: ResponseView) -> tuple[str, ...]:
    line = each.where.rpartition(":")[2]
    return line, command(each), place(each), selectors(each), timeout(each), repeats(each), breaker(each)


def _path(response: ResponseView) -> str:
    return response.where.rpartition(":")[0]


def _all(report: Report) -> list[ResponseView]:
    books = (Rulebook(ruleset=report.ruleset, configuration=each) for each in report.configurations)
    return [response for book in books for response in book.responses().responses]


def _white_list(report: Report) -> Iterator[str]:
    for configuration in report.configurations:
        yield from (text_of(network) for network, _ in configuration.allowlist)
        yield from (host.text for host in configuration.hosts)


def _line(remark: Remark) -> str:
    return f"{remark.where()}: {remark.message}"


def _summary(report: Report, responses: list[ResponseView]) -> str:
    counts = [
        counted(len(responses), "response"),
        counted(len(report.ruleset.rules), "rule"),
        counted(len(report.errors), "error"),
        counted(len(report.warnings), "warning"),
    ]
    return ", ".join(counts)


def _skipped(found: tuple[str, Skipped]) -> dict[str, Any]:
    inside, what = found
    return {
        "path": str(what.path),
        "inside": inside or None,
        "name": what.name,
        "lines": what.lines,
        "instead": what.instead or None,
    }


def _remark(remark: Remark) -> dict[str, Any]:
    return {"path": str(remark.path), "line": remark.line or None, "message": remark.message}
