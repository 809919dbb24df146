"""A channel and a real agent: two hundred attackers are one message, and their ends are another."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.an_agent import AnAgent, a_delete, an_order
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.stage.webhook_server import PATH, WebhookServer, says
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.broker]
MANY = 200
SECRET = PATH.rpartition("/")[2]


@pytest.fixture
async def agent(
    guard: Guard, broker: Broker, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AnAgent]:
    file = tmp_path / "webhook"
    with WebhookServer() as one:
        file.write_text(one.url)
        file.chmod(0o600)
        monkeypatch.setenv("THWART_ACTIONS_WEBHOOK_FILE", str(file))
        agent = AnAgent(guard, broker, network.host("web1", 11), tmp_path)
        agent.server = one
        yield agent
        await agent.close()


async def test_a_burst_of_blocks_is_one_message_and_so_are_their_ends(agent: AnAgent) -> None:
    """Though the server is busy at first; killed and started again, the agent restores the blocks and says nothing."""
    agent.server.plan(says(503), says(200))
    await agent.started()
    assert agent.heartbeats()[-1].actions["wazuh-slack"] == "webhook"
    alert = {"rule": {"id": "5712", "level": 10, "description": "ssh: brute force"}}
    deadline = time.time() + 60.0
    blocks = [an_order(f"b{number}", f"10.1.1.{number}") for number in range(MANY)]
    told = [an_order(f"s{n}", "", None, action="wazuh-slack", alert=alert, deadline=deadline) for n in range(MANY)]
    await agent.send(*blocks, *told)
    for each in told:
        assert (await agent.answered(each)).status == "applied"
    assert len(agent.in_force()) == MANY
    assert [each["text"] for each in agent.server.bodies] == [f"{MANY} alerts on web1"] * 2, "one, and once more"
    agent.process.kill()
    await agent.started()
    assert len(agent.in_force()) == MANY
    await agent.send(a_delete("lift", *(each.id for each in blocks), target="10.1.1.0"))
    await agent.answered("lift")
    await eventually(lambda: len(agent.server.bodies) > 2)
    assert [each["text"] for each in agent.server.bodies[2:]] == [f"{MANY} blocks ended on web1"]
    assert SECRET not in agent.log.read_text()
