"""`thwart completion`: the script that teaches a shell to complete what follows `thwart`."""

from typing import Literal

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print the script that completes commands, options, order ids, agents and blocked addresses in SHELL.

    Values come from the manager's API (THWART_API_URL, THWART_API_TOKEN_FILE), within a second or not at all.

    \b
    Examples:
      eval "$(thwart completion bash)"
      thwart completion bash > /etc/bash_completion.d/thwart
      thwart completion zsh > "${fpath[1]}/_thwart"
      thwart completion fish > ~/.config/fish/completions/thwart.fish
    """
    from click.shell_completion import get_completion_class

    from manager.cli import main

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # click has all three
    script = kind(main, {}, "thwart", "_THWART_COMPLETE")
    click.echo(script.source_template % script.source_vars())  # source() would start the shell to see how old it is
