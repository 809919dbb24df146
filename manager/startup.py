"""What the daemon needs of its host before it begins: configuration, folder, tokens. What is wrong ends the start."""

from pathlib import Path

import structlog

from manager.api import tokens
from manager.api.tokens import Tokens
from manager.responses import configuration
from manager.responses.configuration import Configuration
from shared.errors import SettingsError
from shared.settings import ManagerSettings, RespondSettings

log = structlog.get_logger()


def responses_in(settings: RespondSettings) -> Configuration:
    """What to respond to. Without the default file nothing; a file that somebody named has to be there.

    Raises ConfigurationError with file and line.
    """
    path = Path(settings.ossec_conf)
    if settings.ossec_conf == RespondSettings().ossec_conf and not path.exists():
        log.warning(f"no {path}: nothing is responded to, orders by hand work", action="no_responses")
        return Configuration()
    found = configuration.load(path)
    for remark in found.warnings:
        log.warning(remark.message, action="configuration", where=remark.where())
    return found


def state_folder(settings: RespondSettings) -> Path:
    """The folder of ledger and token, made if need be. Raises SettingsError."""
    folder = Path(settings.state_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"manager.state_dir: can't make {folder}: {error.strerror}; name another folder") from error
    return folder


def api_tokens(settings: ManagerSettings, folder: Path) -> Tokens:
    """Who may use the API: a token of our own making unless the settings name a file. Raises SettingsError."""
    if settings.api.token_file:
        return tokens.load(Path(settings.api.token_file))
    tokens.make(folder / tokens.FILE)
    return tokens.load(folder / tokens.FILE)
