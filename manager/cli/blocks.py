"""`thwart blocks`: what is in force, by the agents' own answers."""

from pathlib import Path
from typing import Literal

import click

from manager.cli import addresses, completing, options
from shared import command_line


@click.group("blocks", cls=command_line.Noun)
def command() -> None:
    """What is blocked, where, for how much longer, and by which order. `thwart blocks` alone lists."""


@command.command("list")
@click.option("--agent", metavar="ID", shell_complete=completing.agents, help="Only what is in force on this agent.")
@click.option("--target", metavar="TARGET", help="Only what is in force on this address, network or name.")
@click.option(
    "--order",
    metavar="ID",
    shell_complete=completing.orders,
    help="Only what this order holds; the beginning of its id will do.",
)
@command_line.output
@options.api
def list_(
    agent: str | None,
    target: str | None,
    order: str | None,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> None:
    """List what is blocked, where, and for how much longer.

    \b
    Examples:
      thwart blocks
      thwart blocks --agent web1
      thwart blocks list --order 3f2a9c -o json
    """
    target = target and addresses.any_target_of(target, hint="--target")

    from manager.api.bodies.blocks import Blocks
    from manager.cli.shows.blocks import print_blocks
    from manager.cli.shows.table import as_json
    from manager.client import Client

    with Client(api, token_file) as client:
        found = client.get("/v1/blocks", Blocks, agent=agent, target=target, order=order).blocks
    as_json(found) if output == "json" else print_blocks(found)


@command.command("show")
@click.argument("target", shell_complete=completing.blocked)
@command_line.output
@options.api
def show(target: str, output: Literal["table", "json"], api: str, token_file: Path) -> None:
    """Show all that blocks TARGET, an address or a network (CIDR), or a name: an account, what a script was told.

    Where it is in force, since when and for how much longer, by which orders (the block on a host ends when the last
    of them does), which networks cover it, what lies in it, and what is on hold or on its way.

    \b
    Examples:
      thwart blocks show 203.0.113.9
      thwart blocks show 203.0.113.0/24 -o json
      thwart blocks show alice
    """
    from urllib.parse import quote

    target = addresses.any_target_of(target)

    from manager.cli.shows.blocks import print_block
    from manager.cli.shows.table import as_json
    from manager.client import Client
    from manager.ledger.views import BlockStory

    with Client(api, token_file) as client:
        story = client.get(f"/v1/blocks/{quote(target, safe='')}", BlockStory)
    as_json(story) if output == "json" else print_block(story)
