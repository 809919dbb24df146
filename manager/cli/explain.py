"""`thwart explain`: what log lines come to, and why."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import click

from manager.cli import options, without_manager
from shared import command_line

if TYPE_CHECKING:
    from manager.explaining.explanation import Explained


@click.command("explain")
@click.argument("lines", nargs=-1, metavar="[LINE]...")
@click.option("--file", type=click.File("rb"), metavar="FILE", help="Lines from a file; - is standard input.")
@click.option(
    "--agent", metavar="ID", default="", help="Who would have collected them. Default: the host that each names."
)
@without_manager.files
@command_line.output
@options.api
def command(
    lines: tuple[str, ...],
    file: BinaryIO | None,
    agent: str,
    config: Path | None,
    rules: tuple[Path, ...],
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Say what log lines come to, and why: decoder, fields, the rules that were tried, what is counted, the response.

    Several lines share one session, so that what counts is seen to count. The rules and responses are those that are
    in force at the manager, whose own counting isn't touched; nothing is ordered. Offenders and blocks are the
    session's own too: the first line is from a newcomer. Without LINE and --file lines come from standard input.

    \b
    Examples:
      thwart explain 'Nov 24 16:00:00 web1 sshd[1]: Invalid user bob from 203.0.113.9 port 4022'
      grep sshd /var/log/auth.log | tail -20 | thwart explain
      thwart explain --file auth.log --rules local_rules.xml --config ossec.conf -o json
    """
    from manager.cli.shows.explain import print_explained
    from manager.cli.shows.table import as_json

    texts = _texts(lines, file)
    if config or rules:
        told = without_manager.explained(config, rules, texts, agent)
    else:
        told = _asked(texts, agent, api, token_file)
    as_json(told) if output == "json" else print_explained(told)


def _texts(lines: tuple[str, ...], file: BinaryIO | None) -> list[str]:
    if lines and file:
        raise click.UsageError("give lines or --file, not both")
    if lines:
        texts = [part for line in lines for part in line.encode("utf-8", "surrogateescape").split(b"\n")]
    else:
        source: BinaryIO = file or sys.stdin.buffer
        if not file and source.isatty():
            click.echo("log lines, one a line; end with Ctrl-D:", err=True)
        texts = source.read().split(b"\n")
    # as logs themselves are read: what isn't UTF-8 is shown as bytes
    found = [text.removesuffix(b"\r").decode("utf-8", "backslashreplace") for text in texts if text.strip()]
    if not found:
        raise click.UsageError("there is no line to explain")
    return found


def _asked(texts: list[str], agent: str, api: str, token_file: Path) -> "Explained":
    from manager.api.bodies.explain import LONGEST, MOST_LINES, NewExplanation
    from manager.client import Client
    from manager.explaining.explanation import Explained

    if len(texts) > MOST_LINES:
        raise click.UsageError(
            f"{len(texts):,} lines, and the manager explains {MOST_LINES:,} at a time; give fewer, work offline with "
            "--rules or --config, or see `thwart correlate` for whole logs"
        )
    cut = tuple(text[:LONGEST] for text in texts)
    with Client(api, token_file) as client:
        return client.post("/v1/explain", NewExplanation(lines=cut, agent=agent), Explained)
