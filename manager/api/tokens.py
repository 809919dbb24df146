"""Who may use the API: a file of tokens, `name token` a line. The name goes into each order as its issuer."""

import hmac
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

import structlog

from shared.errors import SettingsError

FILE = "api.token"  # in the state folder, unless the settings name another
OWNER = "operator"  # whom a token without a name stands for
SHORTEST = 16  # characters

log = structlog.get_logger()


def make(path: Path) -> None:
    """A file with one new token, readable by its owner alone. One that is there already is left as it is."""
    if path.exists():
        return
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f"{FILE}-")  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{OWNER} {secrets.token_urlsafe(32)}\n")
    os.replace(new, path)  # at once: a client never reads half of it
    log.info("made a token for the API", action="token_made", file=str(path))


def load(path: Path) -> "Tokens":
    """The tokens in a file. Raises SettingsError, which names it."""
    named = dict(_pair(line, path) for line in _lines(path))
    if path.stat().st_mode & 0o077:
        log.warning("others on this host can read the API's tokens; chmod 600", action="token_open", file=str(path))
    return Tokens(named)


def first(path: Path) -> str:
    """The first token in a file, for a client. Raises SettingsError."""
    token, _ = _pair(_lines(path)[0], path)
    return token


class Tokens:
    """Names by token."""

    def __init__(self, named: Mapping[str, str]) -> None:
        self._names = [(token.encode(), name) for token, name in named.items()]

    def name_of(self, token: str) -> str | None:
        """Whose `token` it is, or None. Takes as long for a nearly right one as for any other."""
        given, found = token.encode(), None
        for known, name in self._names:
            if hmac.compare_digest(known, given):
                found = name
        return found


def _lines(path: Path) -> list[str]:
    """Those that hold a token; at least one."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise SettingsError(f"the API's token can't be read from {path}: {why}; name its file, or use sudo") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise SettingsError(f"{path} holds no token; write a line `name token`")
    return lines


def _pair(line: str, path: Path) -> tuple[str, str]:
    *name, token = line.rsplit(maxsplit=1)  # by any white space, as `first` does
    if not token.isascii():
        raise SettingsError(f"api.token_file: {path}: a token is ASCII, or no header could carry it")
    if len(token) < SHORTEST:
        raise SettingsError(f"api.token_file: {path}: a token has at least {SHORTEST} characters; openssl rand -hex 32")
    return token, "".join(name).strip() or OWNER
