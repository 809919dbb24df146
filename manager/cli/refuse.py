"""`thwart refuse`: turns orders that are on hold down."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import deciding, options
from shared import command_line


@click.command("refuse")
@deciding.which
@click.option("--reason", default="", help="A sentence that is kept with the orders.")
@command_line.output
@options.api
@click.pass_context
def command(
    ctx: click.Context,
    ids: tuple[str, ...],
    everything: bool,
    response: str | None,
    target: str | None,
    reason: str,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Turn orders down that are on hold: they become `not-approved` and are never sent.

    A breaker that has tripped keeps what is new on hold until nothing was over the limit for a minute. What offends
    again is ordered again: `thwart allow add` is for what must never be blocked.

    \b
    Examples:
      thwart refuse 3f2a9c --reason "a scanner of ours"
      thwart refuse --all
    """
    meant = deciding.Meant(ids, everything, response, target)
    done = deciding.decide("/v1/refusals", "refused", meant, reason, output=output, api=api, token_file=token_file)
    ctx.exit(0 if done else 1)
