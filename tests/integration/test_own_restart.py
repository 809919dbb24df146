"""An agent that is told to restart itself, by the systemd that runs it: its answer isn't lost, and comes afterwards."""

import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.actions.tools.tool import Tool
from shared.messages import Order
from tests.integration.an_agent import AnAgent, an_order
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.stage.systemd import Systemd
from tests.waiting import eventually

PROJECT = Path(__file__).parents[2]
pytestmark = [pytest.mark.root, pytest.mark.broker]
UNIT = """[Service]
ExecStart={python} {program} {network} {config}
StandardOutput=append:{log}
StandardError=inherit
"""
PROGRAM = """import sys
sys.path.insert(0, {project!r})
from agent.cli import main as commands
from tests.stage.agent_elsewhere import main
commands(["run", "--config", sys.argv[2], "-t"]) if "-t" in sys.argv else main(*sys.argv[1:])
"""


class Serviced(AnAgent):
    """One that a service runs."""

    systemd: Systemd

    def start(self) -> None:
        program = self.config.with_name("agent.py")
        program.write_text(PROGRAM.format(project=str(PROJECT)))
        words = {"python": sys.executable, "program": program, "network": self.host.path, "config": self.config}
        unit = UNIT.format(log=self.log, **words)
        self.systemd = Systemd(self._guard, self.config.parent, {"thwart-agent": unit})
        self.systemctl = Tool("systemctl", self.systemd.tools)
        self.systemctl.run("start", "thwart-agent")

    def pid(self) -> str:
        return self.systemctl.run("show", "--property=MainPID", "--value", "thwart-agent").strip()


@pytest.fixture
async def agent(guard: Guard, broker: Broker, network: Network, tmp_path: Path) -> AsyncIterator[Serviced]:
    one = Serviced(guard, broker, network.host("web1", 11), tmp_path)
    yield one
    one.systemd.close()
    await one.close()


def restart(order_id: str) -> Order:
    return an_order(order_id, "", None, action="restart-wazuh", deadline=time.time() + 60.0)


async def test_its_own_restart_is_answered_by_the_next_process(agent: Serviced) -> None:
    """Once, as done, when that runs; a block stays meanwhile. What is wrong with its settings stops nothing."""
    await agent.started()
    assert agent.heartbeats()[-1].actions["restart-wazuh"] == "systemd"
    block = an_order("block")
    await agent.send(block)
    await agent.answered(block)
    before, first = agent.pid(), agent.heartbeats()[-1].started_at
    await agent.send(restart("r1"), restart("r2"))
    await eventually(lambda: agent.heartbeats()[-1].started_at > first, 10.0)
    for each in ("r1", "r2"):
        answer = await agent.answered(each)
        assert (answer.status, answer.detail) == ("applied", "done")
        assert answer.settled_at > agent.heartbeats()[-1].started_at
    after = agent.pid()
    assert after != before
    assert set(agent.in_force()) == {"203.0.113.9"}
    agent.config.write_text(agent.config.read_text() + "\nnonsense = 1\n")
    await agent.send(restart("r3"))
    answer = await agent.answered("r3")
    assert answer.status == "failed"
    assert answer.detail.startswith("its configuration didn't pass the check, and nothing was stopped: ")
    assert agent.pid() == after
    assert [len(agent.answers(each)) for each in ("r1", "r2", "r3")] == [1, 1, 1]
