"""`thwart support`: one file with what somebody who helps needs to know about this manager, and no secret in it."""

from pathlib import Path

import click

from manager.cli import options
from manager.cli.manager import DEFAULT
from shared import command_line


@click.command("support")
@command_line.to
@command_line.config(DEFAULT)
@options.api
def command(to: Path, config: Path | None, api: str, token_file: Path) -> None:
    """Write a bundle for whoever helps: versions, configuration, the ledger in figures, how all is, recent logs.

    Secrets are taken out: passwords in URLs, values whose name says that they are secret, arguments of commands, and
    these values wherever else they occur. Look through it before you send it: addresses and account names stay.
    Works with the manager down too, and says what it could not take. Where `thwart up` is used, and no settings are
    named, it goes by those of `thwart up`.

    \b
    Examples:
      thwart support
      thwart support --to /tmp --config /etc/thwart/manager.toml
    """
    from manager.support import gather
    from shared.support import Bundle

    bundle = Bundle("thwart-support")
    gather(bundle, config or options.settings_of_up(), api, token_file)
    bundle.close(to)
