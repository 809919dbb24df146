"""`thwart`: one module for each noun or verb. It imports no daemon, and nothing heavy before a command runs."""

import importlib
from difflib import get_close_matches

import click

from shared.command_line import Commands

_COMMANDS = {  # name -> module, whose `command` it is; imported when it is asked for, so that --help answers at once
    "agents": "manager.cli.agents",
    "allow": "manager.cli.allow",
    "approve": "manager.cli.approve",
    "block": "manager.cli.block",
    "blocks": "manager.cli.blocks",
    "check-config": "manager.cli.check_config",
    "completion": "manager.cli.completion",
    "correlate": "manager.cli.correlate",
    "dead-letters": "manager.cli.dead_letters",
    "events": "manager.cli.events",
    "explain": "manager.cli.explain",
    "health": "manager.cli.health",
    "manager": "manager.cli.manager",
    "offenders": "manager.cli.offenders",
    "order": "manager.cli.order",
    "orders": "manager.cli.orders",
    "pause": "manager.cli.pause",
    "refuse": "manager.cli.refuse",
    "responses": "manager.cli.responses",
    "resume": "manager.cli.resume",
    "rules": "manager.cli.rules",
    "support": "manager.cli.support",
    "unblock": "manager.cli.unblock",
    "up": "manager.cli.up",
}


class _Commands(Commands):
    """A group whose commands are imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = [] if args[0] in _COMMANDS else get_close_matches(args[0], _COMMANDS)
        if near:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(near)}?")
        return super().resolve_command(ctx, args)


@click.command("thwart", cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="thwart")
def main() -> None:
    """Fleet-wide active response: order blocks on many hosts, see that they are in force, end them on time."""
