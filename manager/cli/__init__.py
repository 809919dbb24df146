"""`thwart`: one module for each noun or verb. It imports no daemon, and nothing heavy before a command runs.

Exit codes: 0 done; 1 it could not be done; 2 wrong usage, settings or configuration; 3 the API can't be reached.
"""

import importlib
from typing import Any

import click

from shared.errors import ConfigurationError, InvalidDuration, SettingsError, ThwartError, Unreachable, UnreadableLog

_COMMANDS = {  # name -> module, whose `command` it is; imported when it is asked for, so that --help answers at once
    "agents": "manager.cli.agents",
    "block": "manager.cli.block",
    "blocks": "manager.cli.blocks",
    "check-config": "manager.cli.check_config",
    "correlate": "manager.cli.correlate",
    "manager": "manager.cli.manager",
    "orders": "manager.cli.orders",
    "unblock": "manager.cli.unblock",
}


class _Commands(click.Group):
    """A group whose commands are imported one by one, and whose errors end in a sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ThwartError as error:
            click.echo(f"thwart: {error}", err=True)
            ctx.exit(exit_code(error))


def exit_code(error: ThwartError) -> int:
    """The code that scripts rely on: 3 unreachable, 2 for the caller's own settings and words, 1 for the rest."""
    if isinstance(error, Unreachable):
        return 3
    return 2 if isinstance(error, SettingsError | ConfigurationError | InvalidDuration | UnreadableLog) else 1


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="thwart")
def main() -> None:
    """Fleet-wide active response: order blocks on many hosts, see that they are in force, end them on time."""
