"""A machine with systemd on which Thwart is installed as its units want it: code, environment, links, configuration.

The code and its libraries are this project's own, shown read-only; only the two commands are written for it.
`python -m tests.stage.installed` makes the Debians that are booted, so that no test has to wait for them.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manager.up import plan
from manager.up.plan import Settings
from shared.errors import ThwartError
from tests.stage import debian
from tests.stage.booted import PACKAGES, Booted
from tests.stage.guard import Guard
from tests.stage.kernel import in_force
from tests.stage.network import Host

PROJECT = Path(__file__).parents[2]
UNITS = PROJECT / "deploy" / "systemd"
MANAGER, AGENT = "thwart-manager.service", "thwart-agent.service"
SUITES = {(3, 11): "bookworm", (3, 13): "trixie"}  # by the Python that this environment's libraries are for
TOOLS = (*PACKAGES, "iproute2", "procps", "iptables", "ipset", "openssh-server")  # what actions use
_ENVIRONMENT = "/opt/thwart/.venv"
_COMMAND = """#!{environment}/bin/python
import sys
sys.path.insert(0, "/opt/thwart")
from {package}.cli import main
main()
"""


class Installed:
    """Nothing of it runs before `systemctl start`."""

    def __init__(self, guard: Guard, host: Host, folder: Path, settings: Mapping[str, Settings]) -> None:
        """`settings` are those of `manager` and `agent`. Raises ThwartError, also where no Debian has this Python."""
        version = sys.version_info[:2]
        if version not in SUITES:
            raise ThwartError(f"this environment's Python is in none of the Debians {', '.join(SUITES.values())}")
        libraries = f"lib/python{version[0]}.{version[1]}/site-packages"
        shown = {PROJECT / name: f"/opt/thwart/{name}" for name in ("agent", "manager", "shared", "deploy")}
        shown[Path(sys.prefix) / libraries] = f"{_ENVIRONMENT}/{libraries}"
        self.host = host
        self.machine = Booted(guard, debian.kept(SUITES[version], *TOOLS), folder, network=host.path, shown=shown)
        self._commands()
        for unit in (MANAGER, AGENT):
            self.write(f"/usr/lib/systemd/system/{unit}", (UNITS / unit).read_text())
        self.write("/usr/lib/sysusers.d/thwart.conf", (UNITS / "sysusers.conf").read_text())
        self.machine.run("systemd-sysusers", "thwart.conf")
        for name, sections in settings.items():
            self.configure(name, sections)
        self.systemctl("daemon-reload")

    def configure(self, name: str, settings: Settings) -> None:
        """Those of `manager` or `agent`, readable by its daemon alone."""
        self.write(f"/etc/thwart/{name}.toml", plan.written(settings), 0o640)
        if name == "manager":
            self.machine.run("chgrp", "thwart-manager", "/etc/thwart/manager.toml")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file in there, root's."""
        self.machine.run("mkdir", "-p", str(Path(path).parent))
        file = self.machine.file(path)
        file.write_text(text)
        file.chmod(mode)

    def drop_in(self, name: str, text: str) -> None:
        """A drop-in of the agent's unit, which counts from its next start on."""
        self.write(f"/etc/systemd/system/{AGENT}.d/{name}.conf", text)
        self.systemctl("daemon-reload")

    def systemctl(self, *words: str) -> str:
        """What it prints. Raises ThwartError with its words and the daemons' own."""
        return self.machine.run("systemctl", *words)

    def main_pid(self, unit: str) -> int:
        """As it is called in there; 0: it doesn't run."""
        return int(self.machine.shows(unit, "MainPID")[0])

    def status(self, unit: str) -> dict[str, str]:
        """The main process, by the names of proc(5), `status`."""
        lines = self.machine.run("cat", f"/proc/{self.main_pid(unit)}/status").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def thwart(self, *words: str) -> Any:
        """What `thwart WORDS -o json` says, asked as root without any option more."""
        return json.loads(self.machine.run("/usr/bin/thwart", *words, "-o", "json"))

    def logged(self, unit: str) -> str:
        """What it has said to the journal."""
        return self.machine.run("journalctl", "--no-pager", "--output=cat", "--unit", unit)

    def _commands(self) -> None:
        self.write(f"{_ENVIRONMENT}/pyvenv.cfg", "home = /usr/bin\n")
        self.machine.run("mkdir", f"{_ENVIRONMENT}/bin")
        self.machine.run("ln", "-s", "/usr/bin/python3", f"{_ENVIRONMENT}/bin/python")
        for name, package in (("thwart", "manager"), ("thwart-agent", "agent")):
            self.write(f"{_ENVIRONMENT}/bin/{name}", _COMMAND.format(environment=_ENVIRONMENT, package=package), 0o755)
            self.machine.run("ln", "-s", f"{_ENVIRONMENT}/bin/{name}", f"/usr/bin/{name}")

    @property
    def blocked(self) -> set[str]:
        """What its kernel drops now."""
        return in_force(self.host)


if __name__ == "__main__":
    try:
        for suite in SUITES.values():
            debian.kept(suite, *PACKAGES)
        if sys.version_info[:2] in SUITES:
            debian.kept(SUITES[sys.version_info[:2]], *TOOLS)
    except ThwartError as error:
        sys.exit(str(error))
