"""`thwart approve`: lets orders that are on hold through."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import deciding, options
from shared import command_line


@click.command("approve")
@deciding.which
@command_line.output
@options.api
@click.pass_context
def command(
    ctx: click.Context,
    ids: tuple[str, ...],
    everything: bool,
    response: str | None,
    target: str | None,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Send orders that are on hold, each with its full time. ID may be the beginning of one.

    What has come under protection meanwhile is not sent, and said so. When all of a response's orders are decided
    about, its breaker is closed and counts afresh. Ends with 1 when an order was not approved.

    \b
    Examples:
      thwart orders --on-hold
      thwart approve 3f2a9c 77b1e0
      thwart approve --response block-everywhere
      thwart approve --all
    """
    meant = deciding.Meant(ids, everything, response, target)
    done = deciding.decide("/v1/approvals", "approved", meant, "", output=output, api=api, token_file=token_file)
    ctx.exit(0 if done else 1)
