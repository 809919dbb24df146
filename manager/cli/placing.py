"""What `thwart block` and `thwart order` have in common: where, for how long, why, and what came of it."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import click

from manager.cli import addresses, completing, options

if TYPE_CHECKING:
    from manager.api.bodies.blocks import Given
    from manager.client import Client

Command = TypeVar("Command", bound=Callable[..., Any])
Location = Literal["agent", "server", "all"]


class Said(NamedTuple):
    """What was said of where, for how long and why."""

    location: Location | None  # None: nothing was said
    agents: tuple[str, ...]
    timeout: float | Literal["forever"] | None  # s; None: nothing was said
    reason: str
    dry_run: bool
    wait: bool


def terms(unsaid: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`--agent ID`, `--server`, `--all`, `--for TIME`, `--reason`, `--dry-run`, `--no-wait`, which the command gets as
    `said`. `unsaid` says how long it is without --for.
    """
    every = _options(unsaid)

    def with_terms(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def told(
            *words: Any,
            agents: tuple[str, ...],
            server: bool,
            everywhere: bool,
            span: str | None,
            reason: str,
            dry_run: bool,
            wait: bool,
            **others: Any,
        ) -> None:
            place, timeout = _location(agents, server, everywhere), addresses.timeout_of(span)
            command(*words, said=Said(place, agents, timeout, reason, dry_run, wait), **others)

        for option in reversed(every):
            told = option(told)
        return told

    return with_terms


def _options(unsaid: str) -> tuple[Callable[[Command], Command], ...]:
    return (
        click.option(
            "--agent",
            "agents",
            type=options.AGENT,
            multiple=True,
            metavar="ID",
            shell_complete=completing.agents,
            help="On this agent; may be repeated.",
        ),
        click.option("--server", is_flag=True, help="On the manager hosts."),
        click.option("--all", "everywhere", is_flag=True, help="On all agents and manager hosts."),
        click.option("--for", "span", metavar="TIME", help=f"90, 10m, 2h, 1d or forever.  [default: {unsaid}]"),
        click.option("--reason", default="", help="A sentence that is kept with the order."),
        click.option("--dry-run", is_flag=True, help="Go through everything, change nothing."),
        click.option(
            "--wait/--no-wait", default=True, show_default=True, help="Wait up to 5 s for the agents' answers."
        ),
    )


def _location(agents: tuple[str, ...], server: bool, everywhere: bool) -> Location | None:
    if bool(agents) + server + everywhere > 1:
        raise click.UsageError("give one place: --agent, --server or --all")
    return "agent" if agents else "server" if server else "all" if everywhere else None


def report(http: "Client", given: "Given", opening: str, *, wait: bool, output: Literal["table", "json"]) -> bool:
    """Says what was ordered and what came of it; False when an agent did not do what it was told."""
    from manager.cli import following

    following.say(given, f"on hold: {opening}" if given.on_hold else opening)
    return following.report(following.follow(http, given, wait=wait and not given.on_hold), output)
