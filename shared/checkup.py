"""How `thwart health` and `thwart-agent health` ask, and what they say. Light: `--help` waits for nothing here."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import click

from shared.command_line import Command, output

PATIENCE = 6.0  # s for an answer: whoever is asked tries its disk for 5 s at most. Without one it is taken for dead

Ask = Callable[[str], bytes]  # a path -> the body of its answer. Raises TimeoutError, Unreachable


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """What was found."""

    live: bool
    ready: bool
    why: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what makes it neither, and is good to know


def options(command: Command) -> Command:
    """`--live`, `--ready` and `-o`; the command gets `wanted`."""
    live = click.option("--live", "wanted", flag_value="live", help="Ask only whether it lives.")
    ready = click.option(
        "--ready", "wanted", flag_value="ready", default=True, help="Ask whether it lives and is ready, the default."
    )
    return live(ready(output(command)))


def ask(what: Ask) -> Checkup:
    """Asks twice. Who is there and doesn't answer hangs. Raises Unreachable, ValueError for what is no answer."""
    try:
        live, ready = json.loads(what("/live")), json.loads(what("/ready"))
        return Checkup(live=live["live"], ready=ready["ready"], why=tuple(ready["why"]))
    except TimeoutError:
        return Checkup(live=False, ready=False, why=(f"no answer within {PATIENCE:.0f} s: it hangs, or is stopped",))
    except (KeyError, TypeError) as error:
        raise ValueError("not what Thwart answers") from error


def show(who: str, found: Checkup, wanted: str, output: str) -> int:
    """Prints it; the exit code: 0 when it is as `wanted`, else 1."""
    if output == "json":
        click.echo(json.dumps(asdict(found)))
    else:
        click.echo(f"{who}: {'live' if found.live else 'not live'}, {'ready' if found.ready else 'not ready'}")
        for each in (*found.why, *found.notes):
            click.echo(f"  {each}")
    return 0 if (found.live if wanted == "live" else found.ready) else 1
