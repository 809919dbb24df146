"""What the daemon needs of its host: configuration and tokens. What is wrong with them ends a start."""

from collections.abc import Sequence
from pathlib import Path

import structlog
from msgspec import Struct

from manager.api import tokens
from manager.api.tokens import Tokens
from manager.correlation import Ruleset, load, shipped
from manager.responses import configuration
from manager.responses.configuration import Configuration
from manager.responses.review import review
from shared.errors import ConfigurationError
from shared.settings import ManagerSettings, RespondSettings

log = structlog.get_logger()


class Loaded(Struct, frozen=True, kw_only=True):
    """What the files say that a reload takes anew: what fires, and what is done about it."""

    rules: Ruleset
    configuration: Configuration
    absent: bool = False  # there was no ossec.conf at the place where one is looked for without being named


def loaded(settings: RespondSettings, before: Loaded | None = None) -> Loaded:
    """Rules and responses. Without the default file nothing is responded to; one that is named has to be there.

    With what was in force `before`, a file that is gone or empty now is no wish to respond to nothing: an editor has
    moved it away, or is about to write it. What may surprise its author is logged.

    Raises ConfigurationError with file and line.
    """
    try:
        return _loaded(settings, before)
    except OSError as wrong:  # a folder that may not be looked into, a file that was there a moment ago
        path = wrong.filename or settings.ossec_conf
        raise ConfigurationError(f"can't be read: {wrong.strerror or wrong}", path=path) from wrong


def _loaded(settings: RespondSettings, before: Loaded | None) -> Loaded:
    rules = load([shipped(), *map(Path, settings.rules)])
    path = Path(settings.ossec_conf)
    if before:
        _refuse_empty([path, *map(Path, settings.rules)])
    if is_absent(settings) and (not before or before.absent):
        log.warning(f"no {path}: nothing is responded to, orders by hand work", action="no_responses")
        return Loaded(rules=rules, configuration=Configuration(), absent=True)
    found = configuration.load(path)
    for remark in (*found.warnings, *review(found, rules)):
        log.warning(remark.message, action="configuration", where=remark.where())
    return Loaded(rules=rules, configuration=found)


def is_absent(settings: RespondSettings) -> bool:
    """Whether there is no `ossec.conf` at the place where one is looked for without being named."""
    return settings.ossec_conf == RespondSettings().ossec_conf and not Path(settings.ossec_conf).exists()


def _refuse_empty(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.is_file() and not path.stat().st_size:
            raise ConfigurationError("is empty; send SIGHUP once it is written", path=path)


def api_tokens(settings: ManagerSettings, folder: Path) -> Tokens:
    """Who may use the API: a token of our own making unless the settings name a file. Raises SettingsError."""
    if settings.api.token_file:
        return tokens.load(Path(settings.api.token_file))
    tokens.make(folder / tokens.FILE)
    return tokens.load(folder / tokens.FILE)
