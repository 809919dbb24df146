"""A real systemd in a namespace of its own: the manager of a user, whom `systemctl` there takes for the system's."""

import os
from collections.abc import Mapping
from pathlib import Path

from agent.actions.tools.tool import Tools
from tests.stage.guard import Guard
from tests.stage.process import Process
from tests.waiting import wait_for

PROGRAM = Path("/lib/systemd/systemd")
# systemctl(1) speaks with the manager at /run/systemd/private when it is root's; a user's is somewhere else.
_BEGIN = """
mkdir -p "$HOME/netns" /run/netns
mount --rbind /run/netns "$HOME/netns"
mount -t tmpfs tmpfs /run
mkdir -p /run/user/0/systemd/user /run/systemd/system /run/netns
mount --rbind "$HOME/netns" /run/netns
for unit in "$UNITS"/*; do cp "$unit" /run/user/0/systemd/user; cp "$unit" /run/systemd/system; done
ln -s /run/user/0/systemd/private /run/systemd/private
{program} --user --unit=basic.target  # not as process 1: it would be no user's
exit $?
"""
_ENTERED = """#!/bin/sh
exec nsenter --mount --pid --target {pid} -- /usr/bin/systemctl "$@"
"""


class Systemd:
    """Its processes end with it. `tools` finds a `systemctl` that speaks with it."""

    def __init__(self, guard: Guard, folder: Path, units: Mapping[str, str]) -> None:
        """`units` are the texts of services by name."""
        self.folder = folder
        shown, programs = folder / "units", folder / "systemctl"
        for each in (shown, programs, folder / "home"):
            each.mkdir()
        for name, text in units.items():
            (shown / f"{name}.service").write_text(text)
        environment = {"XDG_RUNTIME_DIR": "/run/user/0", "HOME": str(folder / "home"), "UNITS": str(shown)}
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec"]
        begin = _BEGIN.format(program=PROGRAM)
        self._process = Process(guard, [*command, begin], folder / "systemd.log", environment)
        (programs / "systemctl").write_text(_ENTERED.format(pid=self._child()))
        (programs / "systemctl").chmod(0o755)
        self.tools = Tools(path=f"{programs}:/usr/bin:/bin")

    def _child(self) -> int:
        """A process beside the manager, once that listens."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        pid = wait_for(lambda: children.read_text().split())[0]
        socket = Path(f"/proc/{pid}/root/run/user/0/systemd/private")
        wait_for(lambda: os.path.lexists(socket), 10.0)
        return int(pid)

    def close(self) -> None:
        self._process.kill()
