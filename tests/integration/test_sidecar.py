"""A real agent whose network namespace loses its interfaces, as when the container that it belongs to is restarted."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent import sidecar
from manager.up.plan import written
from tests.stage import enter
from tests.stage.guard import Guard
from tests.stage.network import Host, Network
from tests.stage.process import Process
from tests.waiting import wait_for

pytestmark = pytest.mark.root
COMMAND = Path(sys.executable).with_name("thwart-agent")


@pytest.fixture
def host(network: Network) -> Host:
    return network.host("web1", 11)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """The agent's /etc, with the hosts file that Docker would share with it."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "hosts").write_text("127.0.0.1\tlocalhost\n192.0.2.11\tweb1\n")
    return folder


@pytest.fixture
def agent(guard: Guard, host: Host, etc: Path, tmp_path: Path) -> Process:
    """Runs, without a broker, and is to lift everything whenever it is stopped."""
    config, log = tmp_path / "agent.toml", tmp_path / "agent.log"
    settings = {
        "broker": {"urls": ["amqp://broker.example.net/"]},
        "agent": {"id": "web1", "state_dir": str(tmp_path / "state"), "on_stop": "lift"},
        "metrics": {"listen": ""},
    }
    config.write_text(written(settings))
    inside = enter.command(host.path, host.name, etc=etc)
    process = Process(guard, [*inside, str(COMMAND), "run", "--config", str(config)], log)
    wait_for(lambda: '"action":"started"' in log.read_text().replace(" ", ""), within=30)
    return process


def test_an_agent_ends_once_its_container_has_another_namespace(agent: Process, host: Host, etc: Path) -> None:
    """With exit code 4 and a sentence; and without taking anything back, which would be for good."""
    host.run("ip", "link", "delete", "eth0")
    wait_for(lambda: sidecar.ALONE in agent.log.read_text(), within=30)
    assert agent.running
    (etc / "hosts").write_text("127.0.0.1\tlocalhost\n192.0.2.11\tweb1\n")
    assert agent.wait(30) == 4
    said = agent.log.read_text()
    assert "the container whose network this agent shares was started anew" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert '"action": "stopped"' not in said


def test_a_host_whose_link_is_down_keeps_its_agent(agent: Process, host: Host, etc: Path) -> None:
    """Also when somebody edits its hosts file meanwhile: an interface that is down has its address."""
    host.run("ip", "link", "set", "eth0", "down")
    (etc / "hosts").write_text("192.0.2.11\tweb1\n192.0.2.12\tweb2\n")
    with pytest.raises(subprocess.TimeoutExpired):
        agent.wait(sidecar.LOOK + 2 * sidecar.STEADY)
    assert sidecar.ALONE not in agent.log.read_text()
