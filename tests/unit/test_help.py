"""What `--help` shows: each command has examples, and each example is something that its command understands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agent.cli import main as agent_main
from manager.cli import main as manager_main


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that isn't a group, with the words that lead to it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        elif command is not None:
            yield " ".join((*path, name)), command


ALL = {**dict(commands(manager_main, "thwart")), **dict(commands(agent_main, "thwart-agent"))}
README = (Path(__file__).parents[2] / "README.md").read_text()
_CALL = re.compile(r"\b(thwart(?:-agent)? [^|&\n]+)")


def understood(words: list[str]) -> bool:
    """Whether they name a command, and each option is one of its own. A noun alone means its list."""
    group, *rest = words
    command: click.Command = {"thwart": manager_main, "thwart-agent": agent_main}[group]
    while isinstance(command, click.Group):
        name = rest.pop(0) if rest and not rest[0].startswith("-") else "list"
        found = command.get_command(click.Context(command), name)
        if found is None:
            return False
        command = found
    known = {spelling for each in command.params for spelling in (*each.opts, *each.secondary_opts)}
    return {each for each in rest if re.match(r"-+\w", each)} <= known | {"--help"}


@pytest.mark.parametrize("name", ALL)
def test_every_command_shows_examples_that_it_understands(name: str) -> None:
    """Who asks for help sees what to type, and what is typed so isn't turned down for a name that has changed."""
    _, _, examples = (ALL[name].help or "").partition("Example")
    calls = _CALL.findall(examples)
    assert any(each.startswith(name) for each in calls)
    for each in calls:
        assert understood(shlex.split(re.sub(r"[)\"]+$", "", each) if each.count('"') % 2 else each)), each


def test_the_readme_shows_what_is_understood() -> None:
    """Each command line in it, whether it is shown or recorded, is one of this version."""
    shown = re.findall(r"^(?:\$ )?(thwart(?:-agent)? [^|&\\#\n]+)", README, re.MULTILINE)
    assert len(shown) > 40
    assert [each for each in shown if not understood(shlex.split(each))] == []
