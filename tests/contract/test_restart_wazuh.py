"""restart-wazuh keeps the contract of what just happens, by what a real init script has done."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.actions.restart_wazuh.restart import RestartWazuh
from agent.actions.tools.tool import Tools
from agent.contract.happening import HappeningContract
from tests.unit.test_restart import ByInit


class AService(ByInit):
    """Started once, so that it can be started again."""

    target, arguments, words = "", (), "no start today"

    def happened(self) -> int:
        restarts = self.folder / "restarts"
        return len(restarts.read_text().splitlines()) if restarts.exists() else 0

    def missing(self) -> RestartWazuh:
        self.script.unlink()
        return self.action

    def failing(self) -> RestartWazuh:
        (self.folder / "refuses").touch()
        return self.action

    def hanging(self) -> RestartWazuh:
        self.script.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
        return RestartWazuh(root=self.root, system="Linux", tools=Tools(limit=0.2))


class TestRestartWazuh(HappeningContract):
    """A restart."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Iterator[AService]:
        """With a service that is there."""
        one = AService(tmp_path)
        yield one
        one.close()
