"""`thwart events`: what happens to orders, as it happens, one JSON object a line."""

from contextlib import suppress
from pathlib import Path

import click

from manager.cli import completing, options


@click.command("events")
@click.option("--follow/--no-follow", default=True, help="Listen again when the manager was away, the default.")
@click.option(
    "--order", metavar="ID", shell_complete=completing.orders, help="Only of this order; its beginning will do."
)
@click.option("--agent", metavar="ID", shell_complete=completing.agents, help="Only what concerns this agent.")
@click.option(
    "--target", metavar="ADDRESS", shell_complete=completing.blocked, help="Only about this address or network."
)
@options.api
def command(follow: bool, order: str | None, agent: str | None, target: str | None, api: str, token_file: Path) -> None:
    """Print what happens to orders from now on, one JSON object a line, until Ctrl-C.

    `type` says what: `order` (given, or on hold), `acknowledgement` (an agent's answer), `expiry` (an effect's end),
    `over` (nothing more is to be heard of the order), and about the stream itself `listening` and `cut-off`. `at` is
    the manager's clock, Unix seconds. Whoever reads too slowly is cut off, which the last line says.

    \b
    Examples:
      thwart events
      thwart events --agent web1 | jq -c 'select(.type == "acknowledgement") | [.target, .said.status]'
      thwart events --order 3f2a9c --no-follow
    """
    from manager.cli.listening import listen
    from manager.client import Client

    def say(what: str) -> None:
        click.echo(f"thwart: {what}", err=True)

    with Client(api, token_file) as client, suppress(KeyboardInterrupt):
        for line, news in listen(client, say, follow=follow, order=order, agent=agent, target=target):
            if news is not None:
                click.echo(line)
