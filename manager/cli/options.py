"""Options of the commands that talk to the manager: where its API is, whose token to show."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import click

from shared.command_line import Command

API_URL = "http://127.0.0.1:9460"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
TOKEN_FILE = Path("/var/lib/thwart/manager/api.token")
UP = Path("/var/lib/thwart/up")  # where `thwart up` keeps its state
TOKEN_FILE_OF_UP = UP / "manager" / TOKEN_FILE.name
SETTINGS_OF_UP = UP / "manager.toml"


def token_file() -> Path:
    """Where a token is looked for: what `thwart up` made, where no manager of its own has."""
    # a folder that may not be looked into is there all the same
    return TOKEN_FILE_OF_UP if not os.path.exists(TOKEN_FILE) and os.path.exists(TOKEN_FILE_OF_UP) else TOKEN_FILE


def settings_of_up() -> Path | None:
    """The settings that `thwart up` made, where its token is the one that is taken."""
    of_up = token_file() == TOKEN_FILE_OF_UP and os.path.exists(SETTINGS_OF_UP)
    return SETTINGS_OF_UP if of_up else None


def url(command: Command) -> Command:
    """`--api URL`, with a variable."""
    return click.option(
        "--api",
        envvar="THWART_API_URL",
        default=API_URL,
        show_default=True,
        show_envvar=True,
        help="The manager's API.",
    )(command)


class Id(click.ParamType[str]):
    """An id, or the beginning of one. One that can be none is wrong usage, and never asked about."""

    name = "id"

    def __init__(self, listed_by: str) -> None:
        self._listed_by = listed_by

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.strip() or "/" in value or value in (".", ".."):
            self.fail(f"{value!r} is no id; `{self._listed_by}` lists them", param, ctx)
        return value.strip()


AGENT = Id("thwart agents")
ORDER = Id("thwart orders")


def _request_id(_: click.Context, option: click.Parameter, given: str | None) -> str | None:
    if given is not None and not _REQUEST_ID.fullmatch(given):
        raise click.BadParameter("it is 8 to 64 letters, digits, - and _", param=option)
    return given


def request_id(help_: str) -> Callable[[Command], Command]:
    """`--request-id ID`."""
    return click.option("--request-id", metavar="ID", callback=_request_id, help=help_)


def many(command: Command) -> Command:
    """`--file FILE`, `--skip-bad`, `--request-id ID`: for commands that take thousands of addresses."""
    for option in (
        request_id(
            "The same id is the same request. With --file: go on with a run that was cut off, which said its id."
        ),
        click.option("--skip-bad", is_flag=True, help="With --file: leave out lines that are no address."),
        click.option(
            "--file",
            type=click.File(encoding="utf-8", errors="replace"),
            metavar="FILE",
            help="One address a line; - is standard input.",
        ),
    ):
        command = option(command)
    return command


def check_many(of_file: bool, skip_bad: bool) -> None:
    """Raises click.UsageError for an option of `many` that means nothing without a file."""
    if skip_bad and not of_file:
        raise click.UsageError("--skip-bad is for --file FILE: only a file has lines that could be left out")


def api(command: Command) -> Command:
    """`--api URL` and `--token-file FILE`, both with a variable."""
    token = click.option(
        "--token-file",
        envvar="THWART_API_TOKEN_FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        default=token_file,
        show_default=f"{TOKEN_FILE}, or that of `thwart up`",
        show_envvar=True,
        help="Where the token is.",
    )
    return url(token(command))
