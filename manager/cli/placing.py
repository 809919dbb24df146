"""What `thwart block` and `thwart order` have in common: where, for how long, why, and what came of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from manager.cli import completing, options

if TYPE_CHECKING:
    from manager.api.bodies.blocks import Given
    from manager.client import Client

Command = TypeVar("Command", bound=Callable[..., Any])
Location = Literal["agent", "server", "all"]


def terms(unsaid: str) -> Callable[[Command], Command]:
    """`--agent ID`, `--server`, `--all`, `--for TIME`, `--reason`, `--dry-run`, `--no-wait`.

    `unsaid` says how long it is without --for.
    """
    agent = click.option(
        "--agent",
        "agents",
        type=options.AGENT,
        multiple=True,
        metavar="ID",
        shell_complete=completing.agents,
        help="On this agent; may be repeated.",
    )
    wait = click.option(
        "--wait/--no-wait", default=True, show_default=True, help="Wait up to 5 s for the agents' answers."
    )
    every = (
        agent,
        click.option("--server", is_flag=True, help="On the manager hosts."),
        click.option("--all", "everywhere", is_flag=True, help="On all agents and manager hosts."),
        click.option("--for", "span", metavar="TIME", help=f"90, 10m, 2h, 1d or forever.  [default: {unsaid}]"),
        click.option("--reason", default="", help="A sentence that is kept with the order."),
        click.option("--dry-run", is_flag=True, help="Go through everything, change nothing."),
        wait,
    )

    def with_terms(command: Command) -> Command:
        for option in reversed(every):
            command = option(command)
        return command

    return with_terms


def location(agents: tuple[str, ...], server: bool, everywhere: bool) -> Location | None:
    """Where, or None when nothing was said. Raises click.UsageError for more than one place."""
    if bool(agents) + server + everywhere > 1:
        raise click.UsageError("give one place: --agent, --server or --all")
    return "agent" if agents else "server" if server else "all" if everywhere else None


def report(http: "Client", given: "Given", opening: str, *, wait: bool, output: Literal["table", "json"]) -> bool:
    """Says what was ordered and what came of it; False when an agent did not do what it was told."""
    from manager.cli import following

    following.say(given, f"on hold: {opening}" if given.on_hold else opening)
    return following.report(following.follow(http, given, wait=wait and not given.on_hold), output)
