"""`thwart pause` and `thwart resume`: the panic button, and the end of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from manager.cli import options
from shared import command_line

if TYPE_CHECKING:
    from manager.ledger.views import Standstill


@click.command("pause")
@click.option("--reason", default="", help="A sentence that whoever wonders will read.")
@click.option("--status", is_flag=True, help="Change nothing; say whether the manager is paused, by whom and why.")
@command_line.output
@options.api
def command(reason: str, status: bool, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Send nothing but lifts until `thwart resume`, also over a restart.

    Alerts are still responded to, but what comes of it is kept on hold, and so are blocks by hand and what was still
    unsent. What is in force stays and ends on its time.

    \b
    Examples:
      thwart pause --reason "the scanner of the auditors is being blocked"
      thwart pause --status
    """
    from manager.api.bodies.decisions import NewPause
    from manager.client import Client
    from manager.ledger.views import Standstill

    with Client(api, token_file) as client:
        if status:
            found = client.get("/v1/pause", Standstill)
        else:
            found = client.post("/v1/pause", NewPause(reason=reason), Standstill)
    if not status and not found.changed:
        click.echo("it was paused already", err=True)
    _print(found, output)


@click.command("resume")
@command_line.output
@options.api
def resume(output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Send orders again from now on. What is on hold stays so until it is approved, refused, or lapses.

    \b
    Example:
      thwart resume
    """
    from manager.api.bodies.decisions import NewResumption
    from manager.client import Client
    from manager.ledger.views import Standstill

    with Client(api, token_file) as client:
        found = client.post("/v1/resume", NewResumption(), Standstill)
    if not found.changed:
        click.echo("it was not paused", err=True)
    _print(found, output)


def _print(found: "Standstill", output: Literal["table", "json"]) -> None:
    from manager.cli.shows import health
    from manager.cli.shows.table import as_json

    if output == "json":
        as_json(found)
        return
    click.echo(health.paused(found.pause) if found.pause else "not paused: orders are sent")
    if found.taken_back:
        click.echo(f"{found.taken_back} that had not been sent were taken back")
    for response in found.tripped:
        click.echo(health.tripped(response))
    held = sum(found.on_hold.values())
    reasons = ", ".join(f"{many} {reason}" for reason, many in sorted(found.on_hold.items()))
    click.echo(f"{held} on hold ({reasons}); see `thwart orders --on-hold`" if held else "nothing is on hold")
    if held and not found.pause:
        click.echo("decide with `thwart approve --all`, `thwart refuse --all`, or one by one by their ids")
