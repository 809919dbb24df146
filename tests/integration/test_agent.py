"""The agent daemon, real in every part: broker, journal, kernel, process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.an_agent import AnAgent, an_order
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.broker]
ATTACKER = "203.0.113.9"


@pytest.fixture
async def agent(guard: Guard, broker: Broker, network: Network, tmp_path: Path) -> AsyncIterator[AnAgent]:
    one = AnAgent(guard, broker, network.host("web1", 11), tmp_path)
    yield one
    await one.close()


async def test_an_order_blocks_is_answered_ends_and_says_so(agent: AnAgent) -> None:
    """An order's whole life: in the kernel, acknowledged, ended on time, told once each."""
    await agent.started()
    order = an_order("o1", timeout=1.5)
    await agent.send(order)
    answer = await agent.answered(order)
    assert (answer.status, answer.detail) == ("applied", "new")
    assert answer.expires_at == pytest.approx(order.expires_at, abs=0.2)
    assert 0 < (agent.in_force()[ATTACKER] or 0) <= 1.5
    end = await agent.ended(order)
    assert (end.cause, end.outcome, end.target) == ("timeout", "reverted", ATTACKER)
    assert end.at == pytest.approx(order.expires_at, abs=0.3)
    assert agent.in_force() == {}
    await eventually(lambda: agent.unsent() == 0)
    assert agent.stop() == 0
    assert len(agent.answers(order)) == len(agent.ends(order)) == 1
