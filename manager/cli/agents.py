"""`thwart agents`: who is there, how they are, and taking out who is gone."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import completing, options
from shared import command_line


@click.group("agents", cls=command_line.Noun)
def command() -> None:
    """Who is there, what they can carry out, what troubles them. `thwart agents` alone lists."""


@command.command("list")
@click.option("--state", type=click.Choice(["living", "silent", "gone"]), help="Only agents in this state.")
@click.option("--label", metavar="NAME[=VALUE]", help="Only agents with this label.")
@command_line.output
@options.api
def list_(state: str | None, label: str | None, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """List agents: living, silent or gone, their labels, what they block by, what troubles them; `show` has the rest.

    One that is silent for an hour (`manager.gone_after`) is gone: nothing more is expected of it, and its queue is
    deleted. When it is heard of again it is new, and is sent all that is in force for it.

    \b
    Examples:
      thwart agents
      thwart agents --state gone
      thwart agents list --label site=berlin -o json
    """
    from manager.api.bodies.agents import Agents
    from manager.cli.shows.agents import print_agents
    from manager.cli.shows.table import as_json
    from manager.client import Client

    with Client(api, token_file) as client:
        found = client.get("/v1/agents", Agents, state=state, label=label).agents
    as_json(found) if output == "json" else print_agents(found, filtered=bool(state or label))


@command.command("show")
@click.argument("agent_id", metavar="ID", type=options.AGENT, shell_complete=completing.agents)
@command_line.output
@options.api
def show(agent_id: str, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Show one agent: what it can carry out by which backend, what it can't and why, how its clock and host differ.

    \b
    Example:
      thwart agents show web1
    """
    from urllib.parse import quote

    from manager.api.bodies.agents import AgentView
    from manager.cli.shows.agents import print_agent
    from manager.cli.shows.table import as_json
    from manager.client import Client

    with Client(api, token_file) as client:
        found = client.get(f"/v1/agents/{quote(agent_id, safe='')}", AgentView)
    as_json(found) if output == "json" else print_agent(found)


@command.command("remove")
@click.argument("agent_id", metavar="ID", type=options.AGENT, shell_complete=completing.agents)
@command_line.output
@options.api
def remove(agent_id: str, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Forget an agent that is gone for good: nothing more is expected of it, and its queue is deleted.

    One that is living is refused: stop it first. What is in force on its host ends there on its time. When it comes
    back it is new, and is sent all that is in force for it.

    \b
    Example:
      thwart agents remove web7
    """
    from urllib.parse import quote

    from manager.api.bodies.agents import AgentRemoved
    from manager.cli.shows.table import as_json
    from manager.client import Client

    with Client(api, token_file) as client:
        removed = client.delete(f"/v1/agents/{quote(agent_id, safe='')}", AgentRemoved)
    if output == "json":
        as_json(removed)
    else:
        click.echo(f"{removed.id} is removed; {removed.withdrawn} orders that were open there are withdrawn")
