"""`thwart offenders`: who offended, how often, and until when that is remembered."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import completing, options
from shared import command_line


@click.group("offenders", cls=command_line.Noun)
def command() -> None:
    """Who offended, how often, and until when that is remembered. `thwart offenders` alone lists."""


@command.command("list")
@click.option("--response", metavar="NAME", help="Only by this response, by its name or identity.")
@click.option("--target", metavar="ADDRESS", help="Only this address, network or account.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@command_line.output
@options.api
def list_(
    response: str | None,
    target: str | None,
    limit: int,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """List offenders, whose block ends last first.

    The next offence of one that is remembered is punished longer, as <repeated_offenders> says.

    \b
    Examples:
      thwart offenders
      thwart offenders --response block-everywhere --limit 1000
      thwart offenders list -o json
    """
    from manager.api.bodies.offenders import Offenders
    from manager.cli.shows.offenders import print_offences
    from manager.cli.shows.table import as_json
    from manager.client import Client

    with Client(api, token_file) as client:
        found = client.get("/v1/offenders", Offenders, response=response, target=target, limit=limit).offenders
    as_json(found) if output == "json" else print_offences(found)


@command.command("show")
@click.argument("target", metavar="ADDRESS", shell_complete=completing.offenders)
@command_line.output
@options.api
def show(target: str, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Show one offender: at which offence it is with each response, until when that is remembered, what was ordered
    about it, and what of that is in force. ADDRESS may be an account's name too.

    \b
    Example:
      thwart offenders show 203.0.113.9
    """
    from urllib.parse import quote

    from manager.cli.shows.offenders import print_offender
    from manager.cli.shows.table import as_json
    from manager.client import Client
    from manager.ledger.views import OffenderStory

    with Client(api, token_file) as client:
        story = client.get(f"/v1/offenders/{quote(target, safe='')}", OffenderStory)
    as_json(story) if output == "json" else print_offender(story)


@command.command("forget")
@click.argument("target", metavar="ADDRESS", shell_complete=completing.offenders)
@click.option("--response", metavar="NAME", help="Only what this response remembers.")
@command_line.output
@options.api
def forget(target: str, response: str | None, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Forget what is remembered of ADDRESS: its next offence is a first one.

    What was counted of it is forgotten too. A block that is in force stays: `thwart unblock` lifts it.

    \b
    Examples:
      thwart offenders forget 203.0.113.9
      thwart offenders forget 203.0.113.9 --response block-everywhere
    """
    from manager.api.bodies.offenders import Offenders
    from manager.cli.shows.table import as_json
    from manager.client import Client
    from shared.tables import plain

    with Client(api, token_file) as client:
        forgotten = client.delete("/v1/offenders", Offenders, target=target, response=response).offenders
    if output == "json":
        as_json(forgotten)
    for each in () if output == "json" else forgotten:
        click.echo(plain(f"forgot that {each.target} was at offence {each.offence} with {each.response}"))
    if not forgotten:
        click.echo(plain(f"nothing is remembered of {target}"), err=True)
