"""What `thwart approve` and `thwart refuse` have in common: which orders are meant, and many of them in turns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from manager.cli import completing

Command = TypeVar("Command", bound=Callable[..., Any])


def which(command: Command) -> Command:
    """`ID…`, `--all`, `--response NAME`, `--target ADDRESS`."""
    for option in (
        click.option("--target", metavar="ADDRESS", help="Those on this address."),
        click.option("--response", metavar="NAME", help="Those of this response, by its name or identity."),
        click.option("--all", "everything", is_flag=True, help="All of them."),
        click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=completing.on_hold),
    ):
        command = option(command)
    return command


class Meant(NamedTuple):
    """The orders that are meant: by their ids, or some that have something in common, or all."""

    ids: tuple[str, ...]
    everything: bool
    response: str | None
    target: str | None


def decide(path: str, done: str, meant: Meant, reason: str, *, api: str, token_file: Path) -> bool:
    """Asks until everything that is meant is decided, says how many on the way; False when some could not be `done`.

    Raises ApiError, Unreachable, SettingsError.
    """
    if "" in (meant.response, meant.target):
        raise click.UsageError("--response and --target need a value; everything is --all")
    some = meant.response is not None or meant.target is not None
    if bool(meant.ids) + meant.everything + some != 1:
        raise click.UsageError("name orders by ID, or give --all, or --response NAME, or --target ADDRESS")

    from manager.api.bodies.decisions import NewDecision, OnHoldDecided
    from manager.client import Client

    count, objections, before = 0, 0, None
    with Client(api, token_file) as client:
        while True:
            wish = NewDecision(**meant._asdict(), reason=reason, before=before)
            answer = client.post(path, wish, OnHoldDecided)
            count, objections, before = count + len(answer.orders), objections + len(answer.objections), answer.before
            for each in answer.objections:
                click.echo(f"not {done}: {each.target or each.order_id}: {each.why}", err=True)
            if not answer.more:
                break
            click.echo(f"{count} {done} so far", err=True)
    nothing = not count and not objections
    click.echo("nothing of that is on hold" if nothing else f"{count} order{'' if count == 1 else 's'} {done}")
    return not objections
