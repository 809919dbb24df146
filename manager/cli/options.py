"""Options of the commands that talk to the manager: where its API is, whose token to show."""

from pathlib import Path

import click

from shared.command_line import Command

API_URL = "http://127.0.0.1:9460"
TOKEN_FILE = Path("/var/lib/thwart/manager/api.token")


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


def many(command: Command) -> Command:
    """`--file FILE`, `--skip-bad`, `--request-id ID`: for commands that take thousands of addresses."""
    for option in (
        click.option("--request-id", metavar="ID", help="With --file: go on with a run that was cut off."),
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


def api(command: Command) -> Command:
    """`--api URL` and `--token-file FILE`, both with a variable."""
    token = click.option(
        "--token-file",
        envvar="THWART_API_TOKEN_FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        default=TOKEN_FILE,
        show_default=True,
        show_envvar=True,
        help="Where the token is.",
    )
    return url(token(command))
