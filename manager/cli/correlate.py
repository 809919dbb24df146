"""`thwart correlate`: what whole logs would have set off, without a broker or a running manager."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from manager.cli import without_manager
from shared import command_line

_LINES_A_LOOK = 8_192  # lines between two looks at how far the files are

if TYPE_CHECKING:
    from manager.correlation import LogLine
    from manager.offline.files import LogFile
    from manager.offline.run import Run


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--year", type=click.IntRange(1970, 2999), help="The year of each file's first line, where lines name none."
)
@without_manager.rules
@click.option(
    "--ossec-conf",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The responses. Without it no orders follow.",
)
@command_line.output
@click.option("--summary", is_flag=True, help="Print totals instead of each alert.")
def command(
    files: tuple[str, ...],
    year: int | None,
    rules: tuple[Path, ...],
    ossec_conf: Path | None,
    output: Literal["table", "json"],
    summary: bool,
) -> None:
    """Run whole logs through the rules, by the lines' own time, and print the alerts and orders that would follow.

    FILE may be compressed with gzip; - is standard input. Several are merged by time. Lines that name no year are
    read as not later than their file's last change. A `local` order is for the host that the line names. `-o json`
    prints one JSON object a line.

    \b
    Examples:
      thwart correlate /var/log/auth.log
      thwart correlate /var/log/auth.log.1 /var/log/auth.log --ossec-conf ossec.conf --rules local_rules.xml
      zcat old/*.gz | thwart correlate - --year 2025 --summary
    """
    from manager.cli import findings
    from manager.offline.files import merged, open_logs

    run = _run(rules, ossec_conf)
    logs = open_logs(files)
    printer = findings.printer(output, summary=summary)
    hidden = not sys.stderr.isatty() or (printer.listing and sys.stdout.isatty())
    started = time.perf_counter()
    with _progress(merged(logs, year), logs, hidden=hidden) as lines:
        for finding in run.over(lines):
            printer.print(finding)
    printer.close(run.tally, time.perf_counter() - started)


def _run(rules: tuple[Path, ...], ossec_conf: Path | None) -> "Run":
    from manager import garbage
    from manager.correlation import Correlator, load, shipped
    from manager.offline.run import Run

    ruleset = load([shipped(), *rules])
    garbage.settle()
    if ossec_conf is None:
        return Run(Correlator(ruleset))
    from manager.offline.responding import Responder
    from manager.responses import configuration
    from manager.responses.responses import Responses

    configured = configuration.load(ossec_conf)
    responses = Responses(configured, ruleset)
    return Run(Correlator(ruleset), Responder(responses.judge, responses.answered(), configured.agents))


@contextmanager
def _progress(lines: "Iterator[LogLine]", logs: "Sequence[LogFile]", *, hidden: bool) -> "Iterator[Iterator[LogLine]]":
    """The lines, with a bar on standard error that shows how far the files are read."""
    if hidden:
        yield lines
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, refresh_per_second=4) as progress:
        task = progress.add_task("reading", total=sum(log.size for log in logs) or None)
        yield _looked_at(lines, lambda: progress.update(task, completed=sum(log.done() for log in logs)))


def _looked_at(lines: "Iterator[LogLine]", look: Callable[[], None]) -> "Iterator[LogLine]":
    for number, line in enumerate(lines):
        if not number % _LINES_A_LOOK:
            look()
        yield line
