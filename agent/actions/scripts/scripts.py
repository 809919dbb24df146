"""The folder of scripts: which of its files are actions, and why others are none.

The rule it keeps: what anybody but root could have written is never started by an agent that runs as root. The folder
is looked at anew each time, so that a script can be put there, and mended, while the agent runs. Path.is_dir raises for
what an agent that isn't root may not look at, and os.path.isdir doesn't.
"""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from agent.actions.scripts.left_over import kill_left_over
from agent.actions.scripts.script import Script
from agent.actions.tools.process import Limits, Programs
from shared.errors import ActionError
from shared.settings import HostSettings

OURS = (0, os.geteuid())  # an agent that isn't root may start what is its own
MARK = "THWART_STATE_DIR"  # in a script's environment: whose it is
MOST = 200  # that are told of in heartbeats


class Scripts:
    """What an agent's settings make of it, by name."""

    def __init__(self, settings: HostSettings, agent_id: str, limits: Limits | None = None) -> None:
        self._folder, self._agent_id = Path(settings.scripts), agent_id
        self._mark = {MARK: str(Path(settings.state_dir).resolve())}
        self._programs = Programs(self._mark, limits or Limits(whole=settings.script_timeout))

    def get(self, name: str) -> Script | None:
        """The script of that name, if there is such a file, may it be started or not."""
        if not name or "/" in name or name.startswith(".") or not name.isprintable():
            return None
        if not os.path.lexists(self._folder / name):
            return None
        return Script(name, partial(self._checked, name), self._programs, self._agent_id)

    def look(self) -> Iterator[Script]:
        """Each that is there, up to so many, may it be started or not."""
        try:
            names = sorted(os.listdir(self._folder))
        except OSError:  # most hosts have none
            return
        for name in names[:MOST]:
            script = self.get(name)
            if script is not None and not os.path.isdir(self._folder / name):
                yield script

    def kill_left_over(self) -> int:
        """What an agent that was killed had started: it must not be at work beside what is started now."""
        return kill_left_over(self._mark, str(self._folder)) if os.path.isdir(self._folder) else 0

    def stop(self) -> None:
        """Kills what runs."""
        self._programs.stop()

    def _checked(self, name: str) -> Path:
        """The script's path. Raises ActionError with what is wrong with it."""
        path = self._folder / name
        for each in (path, self._folder):
            try:
                found = each.stat()
            except OSError as error:
                raise ActionError(f"{each}: {error.strerror}") from error
            if found.st_uid not in OURS:
                raise ActionError(f"{each} doesn't belong to root: chown root {each}")
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ActionError(f"others than its owner can write to {each}: chmod go-w {each}")
        if not stat.S_ISREG(path.stat().st_mode):
            raise ActionError(f"{path} is no file")
        if not os.access(path, os.X_OK):
            raise ActionError(f"{path} can't be executed: chmod +x {path}")
        return path
