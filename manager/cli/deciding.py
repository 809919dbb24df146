"""What `thwart approve` and `thwart refuse` have in common: which orders are meant, and many of them in turns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

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


def decide(
    path: str,
    done: str,
    meant: Meant,
    reason: str,
    *,
    output: Literal["table", "json"],
    api: str,
    token_file: Path,
) -> bool:
    """Asks until everything that is meant is decided, says how many on the way; False when some could not be `done`.

    Raises ApiError, Unreachable, SettingsError.
    """
    if "" in (meant.response, meant.target):
        raise click.UsageError("--response and --target need a value; everything is --all")
    some = meant.response is not None or meant.target is not None
    if bool(meant.ids) + meant.everything + some != 1:
        raise click.UsageError("name orders by ID, or give --all, or --response NAME, or --target ADDRESS")

    from manager.api.bodies.decisions import Decided, NewDecision, OnHoldDecided
    from manager.cli.shows.table import as_json, counted
    from manager.client import Client

    whole, answer = Decided(orders=(), objections=()), None
    with Client(api, token_file) as client:
        while answer is None or answer.more:
            wish = NewDecision(**meant._asdict(), reason=reason, before=answer.before if answer else None)
            answer = client.post(path, wish, OnHoldDecided)
            for each in answer.objections:
                click.echo(f"not {done}: {each.target or each.order_id}: {each.why}", err=True)
            whole = Decided(orders=whole.orders + answer.orders, objections=whole.objections + answer.objections)
            if answer.more:
                click.echo(f"{len(whole.orders):,} {done} so far", err=True)
    if output == "json":
        as_json(whole)
    elif whole.orders or whole.objections:
        click.echo(f"{counted(len(whole.orders), 'order')} {done}")
    else:
        click.echo("nothing of that is on hold")
    return not whole.objections
