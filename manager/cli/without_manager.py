"""What the files say, for commands that may do without a running manager: `--config` and `--rules`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from manager.explaining.cases import Case
    from manager.explaining.explanation import Explained
    from manager.explaining.results import Result
    from manager.explaining.rulebook import Rulebook
    from manager.responses.configuration import Configuration

Command = TypeVar("Command", bound=Callable[..., Any])

RULES_HELP = "A rule file, or a folder of them, beside the shipped rules; later ones override. May be repeated."


def files(command: Command) -> Command:
    """`--config FILE` and `--rules PATH`, of which any means: by these files, and no manager is asked."""
    config = click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Go by this file instead of asking the manager: its settings (*.toml), or an ossec.conf.",
    )
    return config(rules(command, "Go by files instead of asking the manager. "))


def rules(command: Command, before: str = "") -> Command:
    """`--rules PATH`."""
    return click.option(
        "--rules", multiple=True, type=click.Path(path_type=Path), metavar="PATH", help=before + RULES_HELP
    )(command)


def rulebook(config: Path | None, more: Sequence[Path]) -> "Rulebook":
    """What the files come to. Raises SettingsError, ConfigurationError."""
    from manager.correlation import load, shipped
    from manager.explaining.rulebook import Rulebook

    configuration, named = _configured(config)
    return Rulebook(ruleset=load([shipped(), *named, *more]), configuration=configuration)


def explained(config: Path | None, more: Sequence[Path], texts: Sequence[str], agent: str) -> "Explained":
    """What the lines come to by these files. Raises SettingsError, ConfigurationError."""
    import time

    from manager.explaining.explanation import Explained
    from manager.explaining.reacting import Reactions
    from manager.explaining.session import Session, explain
    from manager.offline.responding import Hosts
    from manager.responses.responses import Responses

    book = rulebook(config, more)
    configuration = book.configuration
    judge, hosts = Responses(configuration, book.ruleset).judge, Hosts(configuration.agents)
    session = Session(book.ruleset, Reactions(configuration, judge, hosts.with_one))
    return Explained(lines=explain(session, texts, time.time(), agent))


def tested(paths: Sequence[Path], more: Sequence[Path]) -> "list[Result]":
    """The cases in these files, or without any those that are shipped, by the shipped rules and `more`.

    Raises ConfigurationError.
    """
    from manager.correlation import load, shipped
    from manager.explaining.cases import read_cases
    from manager.explaining.trial import run

    cases: list[Case] = read_cases([*paths] or [shipped()])
    return run(load([shipped(), *more]), cases)


def _configured(config: Path | None) -> "tuple[Configuration, list[Path]]":
    from manager.responses import configuration
    from manager.responses.configuration import Configuration
    from manager.startup import is_absent
    from shared.settings import ManagerSettings, load

    if config is None:
        return Configuration(), []
    if config.suffix.lower() != ".toml":
        return configuration.load(config), []
    settings = load(ManagerSettings, config).manager
    configured = Configuration() if is_absent(settings) else configuration.load(Path(settings.ossec_conf))
    return configured, [Path(each) for each in settings.rules]
