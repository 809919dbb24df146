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
    from manager.api.bodies.agents import Agents
    from manager.cli.client import Client
    from manager.cli.shows.agents import print_agents
    from manager.cli.shows.table import as_json

    with Client(api, token_file) as client:
        found = client.get("/v1/agents", Agents).agents
    as_json(found) if output == "json" else print_agents(found)
