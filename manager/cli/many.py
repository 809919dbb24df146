"""`--file`: thousands of addresses, in parts that the manager takes one after another, with what came of them all."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

import click
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from manager.api.bodies.blocks import GivenMany
from manager.cli.addresses import advice
from manager.cli.shows.table import as_json, counted
from shared.errors import InvalidTarget, ThwartError, Unreachable
from shared.tables import plain
from shared.targets import normalise_address

SHOWN = 10  # lines that are wrong, on the terminal
PART = 500  # addresses in one request: its body stays below the manager's limit

Part = Callable[[Sequence[str]], GivenMany]
Command = TypeVar("Command", bound=Callable[..., object])


class Line(Struct, frozen=True, kw_only=True):
    """A line of a file of addresses; `why` says what is wrong with it, and is empty for a good one."""

    number: int
    text: str
    why: str = ""


class Summary(Struct, frozen=True, kw_only=True):
    """What came of a file, as `-o json` prints it."""

    request_id: str
    addresses: int  # that were to be taken
    taken: int  # all of them, unless the run was cut off
    orders: int  # that are new
    repeated: int  # addresses that an earlier run under this request id had done
    on_hold: bool
    declined: tuple[Line, ...]  # by the manager
    bad: tuple[Line, ...]  # lines that are no address
    notes: tuple[str, ...]


def lines_of(file: Iterable[str], *, skip_bad: bool) -> tuple[list[Line], list[Line]]:
    """The good lines of a file, and the bad ones; with bad ones that aren't to be skipped, nothing is done at all."""
    lines = read(file)
    good, bad = [each for each in lines if not each.why], [each for each in lines if each.why]
    for each in bad[:SHOWN]:
        click.echo(plain(f"line {each.number}: {each.why}"), err=True)
    if len(bad) > SHOWN:
        click.echo(f"and {len(bad) - SHOWN} more that are no address", err=True)
    if not lines:
        click.echo("there is no address in it", err=True)
    if bad and not skip_bad:
        raise click.UsageError("nothing was done; mend these lines, or leave them out with --skip-bad")
    return good, bad


def read(lines: Iterable[str]) -> list[Line]:
    """One address or network a line; `#` begins a comment, blank lines are passed over, each address comes once."""
    found: dict[str, Line] = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip().lstrip("\ufeff")
        if not text:
            continue
        try:
            target = normalise_address(text)
        except InvalidTarget as error:
            found[f"bad line {number}"] = Line(number=number, text=text[:80], why=f"{error}{advice(text)}")
        else:
            found.setdefault(target, Line(number=number, text=target))
    return list(found.values())


def send(good: Sequence[Line], bad: Sequence[Line], request_id: str, part: Part) -> Summary:
    """Has the manager take them all, and says on standard error how far it is. Raises ApiError, Unreachable."""
    numbers = {each.text: each.number for each in good}
    answers, taken = list[GivenMany](), 0
    try:
        with _progress() as progress:
            task = progress.add_task("", total=len(good))
            while taken < len(good):
                answers.append(part([each.text for each in good[taken : taken + PART]]))
                taken += answers[-1].taken
                progress.update(task, completed=taken)
    except (ThwartError, KeyboardInterrupt) as end:
        if taken or not isinstance(end, ThwartError) or isinstance(end, Unreachable):
            again = f"the same command with --request-id {request_id} goes on"
            click.echo(f"{taken} of {len(good)} were taken before this; {again}", err=True)
        raise
    declined = [
        Line(number=numbers.get(each.address, 0), text=each.address, why=each.why)
        for answer in answers
        for each in answer.declined
    ]
    return Summary(
        request_id=request_id,
        addresses=len(good),
        taken=taken,
        orders=sum(each.orders for each in answers),
        repeated=sum(each.repeated for each in answers),
        on_hold=any(each.on_hold for each in answers),
        declined=tuple(declined),
        bad=tuple(bad),
        notes=tuple(dict.fromkeys(note for each in answers for note in each.notes)),
    )


def report(summary: Summary, noun: str, done: str, output: Literal["table", "json"]) -> bool:
    """Prints it; False when the manager declined something."""
    for note in summary.notes:
        click.echo(plain(f"note: {note}"), err=True)
    for each in summary.declined[:SHOWN]:
        click.echo(plain(f"line {each.number}: {each.why}"), err=True)
    if output == "json":
        as_json(summary)
    else:
        click.echo(_sentence(summary, f"{counted(summary.orders, noun)} {done}"))
    return not summary.declined


def _sentence(summary: Summary, done: str) -> str:
    parts = [done]
    parts += [f"{summary.repeated} were done already"] if summary.repeated else []
    parts += [f"{len(summary.declined)} declined"] if summary.declined else []
    parts += [f"{counted(len(summary.bad), 'line')} left out"] if summary.bad else []
    return ", ".join(parts)


def _progress() -> Progress:
    columns = (TextColumn("sent"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
