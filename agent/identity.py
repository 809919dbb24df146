"""Who this agent is: the id in the settings, one made of the host's name, or one that its state folder keeps.

An id in the folder is made once, under the folder's lock, and never changes: not with the host's name, nor a restart.
"""

import re
import secrets
from pathlib import Path

from agent import host
from agent.actions.tools import whole_file
from shared import names
from shared.errors import ActionError, SettingsError
from shared.messages import AGENT_ID
from shared.settings import AgentSettings

AUTO = "auto"  # the setting's word for an id of the folder's own
FILE = "id"  # in the state folder
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none is taken for another
RANDOM = 8  # of them: 50,000 replicas of one name share an id once in 700 times
LONGEST_NAME = 63 - 1 - RANDOM  # characters of the host's name


def known(settings: AgentSettings) -> str | None:
    """The id, without making one; None where that is still to be done. Raises SettingsError."""
    if settings.agent.id is None:
        return names.agent_id_of_host(host.hostname())
    if settings.agent.id != AUTO:
        return names.agent_id(settings.agent.id)
    return _kept(Path(settings.agent.state_dir) / FILE)


def settled(settings: AgentSettings) -> str:
    """The id; one that is made now is on the disk. For who has the folder's lock. Raises SettingsError."""
    return known(settings) or _made(Path(settings.agent.state_dir))


def sentence(settings: AgentSettings) -> str:
    """What whoever is refused is told of this agent."""
    try:
        mine = known(settings) or "one that has no id yet"
    except SettingsError:
        mine = "one whose id can't be read"
    return f"{mine} on {host.hostname()}, with the state folder {settings.agent.state_dir}"


def _kept(path: Path) -> str | None:
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; this agent's id is in it") from error
    if not re.match(AGENT_ID, text):
        raise SettingsError(f"{path}: {text[:80]!r} is no agent's id; write the one that it had, or remove the file")
    return names.agent_id(text)


def _made(folder: Path) -> str:
    """Whole or not at all: half an id would be another agent's after a crash."""
    prefix = names.agent_id_of_host(host.hostname())[:LONGEST_NAME]
    made = f"{prefix}-{''.join(secrets.choice(LETTERS) for _ in range(RANDOM))}"
    try:
        whole_file.replace(folder / FILE, f"{made}\n".encode(), was=b"", mode=0o600)
    except ActionError as error:
        raise SettingsError(f"this agent's id can't be kept: {error}") from error
    return made
