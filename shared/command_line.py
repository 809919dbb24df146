"""What `thwart` and `thwart-agent` have in common: how to print, where the settings are, how an error ends.

Exit codes: 0 done; 1 it could not be done; 2 wrong usage, settings or configuration; 3 nobody could be reached; 4 what
ran has to be started again.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shared.errors import (
    ConfigurationError,
    InvalidDuration,
    LeftBehind,
    SettingsError,
    ThwartError,
    Unreachable,
    UnreadableLog,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

WIDE = 200  # columns where nobody's terminal sets a limit
SHORT = 12  # digits of an order's id in a list; any beginning that is no other's will do

Command = TypeVar("Command", bound=Callable[..., Any])


class Commands(click.Group):
    """Commands whose errors end in a sentence and an exit code. Its name is the program's."""

    def invoke(self, ctx: click.Context) -> Any:
        if os.environ.get("NO_COLOR"):
            ctx.color = False  # rich looks at it itself, click doesn't
        try:
            return super().invoke(ctx)
        except ThwartError as error:
            click.echo(f"{self.name}: {error}", err=True)
            ctx.exit(exit_code(error))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            click.echo(f"{self.name}: there is no room on the disk for what should be written", err=True)
            ctx.exit(1)
        except UnicodeEncodeError as error:
            if error.encoding != "utf-8":
                raise
            click.echo(
                f"{self.name}: {error.object!r} isn't UTF-8; only the name of a file may be anything else", err=True
            )
            ctx.exit(2)


class Noun(click.Group):
    """Commands about one noun. The noun alone, or with options, means its `list`, which is what everybody types."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bare = not args and not ctx.resilient_parsing  # a shell that completes is still to be offered all of them
        if bare or (args and args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Its commands, or the options of `list`."""
        listing = self.get_command(ctx, "list") if incomplete.startswith("-") else None
        if listing is None:
            return super().shell_complete(ctx, incomplete)
        return listing.shell_complete(click.Context(listing, parent=ctx, info_name="list"), incomplete)


def exit_code(error: ThwartError) -> int:
    """The code that scripts rely on: 4 start it again, 3 unreachable, 2 for the caller's own words, 1 for the rest."""
    if isinstance(error, LeftBehind):
        return 4
    if isinstance(error, Unreachable):
        return 3
    return 2 if isinstance(error, SettingsError | ConfigurationError | InvalidDuration | UnreadableLog) else 1


def output(command: Command) -> Command:
    """`-o table|json`."""
    return click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
    )(command)


def test(command: Command) -> Command:
    """`-t`: the command gets `test`."""
    return click.option(
        "-t", "--test", is_flag=True, help="Check settings and files and don't run: ends with 0, or with 2 for errors."
    )(command)


def config(default: Path) -> Callable[[Command], Command]:
    """`--config FILE`. The command gets that file, or `default`, or None when there is no such file."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        callback=lambda _ctx, _option, given: given or (default if default.exists() else None),
        help=f"Settings, TOML. Default: {default}, if it is there. THWART_<SECTION>_<KEY> goes on top.",
    )


def print_json(some: Any) -> None:
    """What msgspec makes of it, for programs and for eyes."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(some), indent=2).decode())


def to(command: Command) -> Command:
    """`--to FOLDER`: where to write a file that names itself."""
    folder = click.Path(path_type=Path, file_okay=False)
    return click.option("--to", type=folder, default=Path("."), help="The folder to write to; default: here.")(command)
