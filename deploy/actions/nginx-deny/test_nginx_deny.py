"""The contract of actions, held against this one: `pytest`, in this folder."""

import sys
from pathlib import Path

import pytest
from nginx_deny import NginxDeny

from agent.actions.action import Action
from agent.actions.tools.tool import Tools
from agent.contract.addresses import NetworkContract, hosts
from agent.contract.programs import ProgramContract

# What `nginx -s reload` does to what nginx denies: from then on it goes by the file as it is at that moment.
NGINX = """\
#!{python} -IS
import os, pathlib, sys
if sys.argv[1:] != ["-s", "reload"]:
    sys.exit("nginx: invalid option")
pathlib.Path(os.environ["LOADED"]).write_text(pathlib.Path(os.environ["FILE"]).read_text())
"""


class AnNginx:
    """Its file, and what it has loaded of it."""

    programs = ("nginx",)

    def __init__(self, folder: Path) -> None:
        self._file, self._loaded = folder / "deny.conf", folder / "loaded"
        self._loaded.touch()
        (folder / "bin").mkdir()
        (folder / "bin" / "nginx").write_text(NGINX.format(python=sys.executable))
        (folder / "bin" / "nginx").chmod(0o755)
        environment = {"FILE": str(self._file), "LOADED": str(self._loaded)}
        self.tools = Tools(path=str(folder / "bin"), environment=environment)
        self.action = self.made(self.tools)
        self.action.prepare()
        self.examples = ("10.0.0.1", "10.0.0.12", "2001:db8::1", "198.51.100.0/24")
        self.many = hosts(1_000)

    def seen(self) -> set[str]:
        """By what nginx has loaded."""
        return {line.removeprefix("deny ").removesuffix(";") for line in self._loaded.read_text().splitlines()}

    def flush(self) -> None:
        self._file.unlink(missing_ok=True)
        self._loaded.write_text("")

    def later(self) -> None:
        """It looks each time."""

    def restarted(self) -> Action:
        return self.made(self.tools)

    def made(self, tools: Tools) -> Action:
        return NginxDeny(file=str(self._file), tools=tools)


class TestNginxDeny(NetworkContract, ProgramContract):
    """It keeps what every action promises."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> AnNginx:
        """With nothing denied."""
        folder = tmp_path / "host"
        folder.mkdir()
        return AnNginx(folder)
