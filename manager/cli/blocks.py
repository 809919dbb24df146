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
    from manager.api.bodies.blocks import Blocks
    from manager.cli.client import Client
    from manager.cli.shows.blocks import print_blocks
    from manager.cli.shows.table import as_json

    with Client(api, token_file) as client:
        found = client.get("/v1/blocks", Blocks).blocks
    as_json(found) if output == "json" else print_blocks(found)
