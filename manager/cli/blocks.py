"""`thwart blocks`: what is in force, by the agents' own answers."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import options
from shared import command_line


@click.command("blocks")
@command_line.output
@options.api
def command(output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """List what is blocked, where, and for how much longer.

    \b
    Examples:
      thwart blocks
      thwart blocks -o json
    """
    from manager.api.bodies import Blocks
    from manager.cli import tables
    from manager.cli.client import Client

    with Client(api, token_file) as client:
        found = client.get("/v1/blocks", Blocks).blocks
    tables.as_json(found) if output == "json" else tables.blocks(found)
