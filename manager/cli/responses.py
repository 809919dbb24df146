"""`thwart responses`: which are in force, and what fires them."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import completing, options, without_manager
from shared import command_line


@click.group("responses", cls=command_line.Noun)
def command() -> None:
    """What is done about alerts: the <active-response> blocks. `thwart responses` alone lists those in force."""


@command.command("list")
@without_manager.files
@command_line.output
@options.api
def list_(
    config: Path | None, rules: tuple[Path, ...], output: Literal["table", "json"], api: str, token_file: Path
) -> None:
    """List the responses in force at the manager: command, location, what fires them, for how long, the breaker.

    \b
    Examples:
      thwart responses
      thwart responses list --config /etc/thwart/ossec.conf -o json
    """
    from manager.api.bodies.responses import Responses
    from manager.cli.shows.responses import print_responses
    from manager.cli.shows.table import as_json
    from manager.client import Client

    if config or rules:
        found = without_manager.rulebook(config, rules).responses()
    else:
        with Client(api, token_file) as client:
            found = client.get("/v1/responses", Responses)
    as_json(found.responses) if output == "json" else print_responses(found)


@command.command("show")
@click.argument("name", metavar="NAME", shell_complete=completing.responses)
@without_manager.files
@command_line.output
@options.api
def show(
    name: str,
    config: Path | None,
    rules: tuple[Path, ...],
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """Show one response, and every rule in force that fires it. The beginning of its NAME will do.

    \b
    Example:
      thwart responses show firewall-drop
    """
    from urllib.parse import quote

    from manager.api.bodies.responses import ResponseStory
    from manager.cli.shows.responses import print_response
    from manager.cli.shows.table import as_json
    from manager.client import Client

    if config or rules:
        story = without_manager.rulebook(config, rules).response(name)
    else:
        with Client(api, token_file) as client:
            story = client.get(f"/v1/responses/{quote(name, safe='')}", ResponseStory)
    as_json(story) if output == "json" else print_response(story)
