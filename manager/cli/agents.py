"""`thwart agents`: who is there."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import options
from shared import command_line


@click.command("agents")
@command_line.output
@options.api
def command(output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """List agents: living or silent, what they can carry out, what troubles them.

    \b
    Examples:
      thwart agents
      thwart agents -o json
    """
    from manager.api.bodies import Agents
    from manager.cli import tables
    from manager.cli.client import Client

    with Client(api, token_file) as client:
        found = client.get("/v1/agents", Agents).agents
    tables.as_json(found) if output == "json" else tables.agents(found)
