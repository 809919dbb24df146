"""An `ossec.conf` in a few words, and what is said about it."""

from pathlib import Path

import pytest

from manager.responses.configuration import load
from shared.errors import ConfigurationError


def block(*options: str, command: str = "firewall-drop", location: str = "local", rules: str = "5712") -> str:
    """A response on one line, with more options."""
    fires = f"<rules_id>{rules}</rules_id>" if rules else ""
    chosen = f"<command>{command}</command><location>{location}</location>{fires}"
    return f"<active-response>{chosen}{''.join(options)}</active-response>"


def messages(path: Path) -> list[str]:
    """The warnings, from their line on."""
    return [str(warning).removeprefix(f"{path}:") for warning in load(path).warnings]


def refused(path: Path) -> str:
    """The first error, from its line on."""
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return str(caught.value).removeprefix(f"{path}:")
