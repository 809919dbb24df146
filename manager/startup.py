"""What the daemon needs of its host before it begins: configuration and tokens. What is wrong ends the start."""

from pathlib import Path

import structlog

from manager.api import tokens
from manager.api.tokens import Tokens
from manager.correlation import Ruleset
from manager.responses import configuration
from manager.responses.configuration import Configuration
from manager.responses.review import review
from shared.settings import ManagerSettings, RespondSettings

log = structlog.get_logger()


def responses_in(settings: RespondSettings, rules: Ruleset) -> Configuration:
    """What to respond to. Without the default file nothing; a file that somebody named has to be there.

    What may surprise its author with these `rules` is logged.

    Raises ConfigurationError with file and line.
    """
    path = Path(settings.ossec_conf)
    if settings.ossec_conf == RespondSettings().ossec_conf and not path.exists():
        log.warning(f"no {path}: nothing is responded to, orders by hand work", action="no_responses")
        return Configuration()
    found = configuration.load(path)
    for remark in (*found.warnings, *review(found, rules)):
        log.warning(remark.message, action="configuration", where=remark.where())
    return found


def api_tokens(settings: ManagerSettings, folder: Path) -> Tokens:
    """Who may use the API: a token of our own making unless the settings name a file. Raises SettingsError."""
    if settings.api.token_file:
        return tokens.load(Path(settings.api.token_file))
    tokens.make(folder / tokens.FILE)
    return tokens.load(folder / tokens.FILE)
