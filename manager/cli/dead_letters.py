"""`thwart dead-letters`: messages that could not be taken, and why."""

from pathlib import Path
from typing import Literal

import click

from manager import reasons
from manager.cli import options
from shared import command_line


@click.command("dead-letters")
@click.option(
    "--reason",
    type=click.Choice(reasons.DEAD),
    metavar="REASON",
    help=f"Only those with this reason: {', '.join(reasons.DEAD)}.",
)
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@command_line.output
@options.api
def command(reason: str | None, limit: int, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """List messages that could not be taken, newest first: what can't be decoded, who spoke for another, what no
    queue wanted, orders that died in an agent's queue. The last 1,000 of each reason are kept.

    \b
    Examples:
      thwart dead-letters --reason forged-sender
      thwart dead-letters -o json
    """
    from manager.api.bodies.dead_letters import DeadLetters
    from manager.cli.shows.dead_letters import print_dead_letters
    from manager.cli.shows.table import as_json
    from manager.client import Client

    with Client(api, token_file) as client:
        found = client.get("/v1/dead-letters", DeadLetters, reason=reason, limit=limit).dead_letters
    as_json(found) if output == "json" else print_dead_letters(found)
