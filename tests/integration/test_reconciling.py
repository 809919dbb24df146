"""The real daemon and a real kernel: whatever somebody else does to the firewall, the journal comes true again."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.an_agent import AnAgent, an_order
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.broker]
ATTACKER, OTHER, STRANGER = "203.0.113.9", "2001:db8:bad::9", "203.0.113.200"
SECONDS = 6.0  # within which anything is put right, on a busy machine


@pytest.fixture
async def agent(guard: Guard, broker: Broker, network: Network, tmp_path: Path) -> AsyncIterator[AnAgent]:
    """With a block of ten minutes and one until lifted in force."""
    one = AnAgent(guard, broker, network.host("web1", 12), tmp_path)
    await one.started()
    await one.send(an_order("o1"), an_order("o2", OTHER, timeout=None))
    await one.answered("o1")
    await one.answered("o2")
    yield one
    await one.close()


def is_right(agent: AnAgent) -> bool:
    """Whether the kernel has exactly what the journal says."""
    found = agent.in_force()
    return found.keys() == {ATTACKER, OTHER} and found[OTHER] is None and 500 < (found[ATTACKER] or 0) <= 600


async def test_what_somebody_else_does_to_the_firewall_is_put_right(agent: AnAgent) -> None:
    """A flush, an element deleted, added, or given another end: within seconds, counted, and nobody hears of an end."""
    for command in (
        "flush ruleset",
        "delete table inet thwart",
        "flush chain inet thwart input",
        f"delete element inet thwart hosts4 {{ {ATTACKER} }}",
        f"add element inet thwart hosts4 {{ {STRANGER} }}",
        f"delete element inet thwart hosts4 {{ {ATTACKER} }}; add element inet thwart hosts4 {{ {ATTACKER} }}",
        f"delete element inet thwart hosts6 {{ {OTHER} }}; add element inet thwart hosts6 {{ {OTHER} timeout 1h }}",
    ):
        agent.host.run("nft", command)
        assert not is_right(agent), command
        await eventually(lambda: is_right(agent), SECONDS)
    # the next look has nothing to put right, and only then is the last repair proved
    await eventually(lambda: "thwart_drift 0.0" in agent.metrics())
    metrics = agent.metrics()
    assert 'thwart_repairs_total{found="missing"} 7.0' in metrics
    assert 'thwart_repairs_total{found="moved"} 2.0' in metrics
    assert 'thwart_repairs_total{found="unknown"} 1.0' in metrics
    assert len(agent.logged("reconciled")) == 7
    assert agent.ends(an_order("o1")) == []
    assert len(agent.answers("o1")) == 1


async def test_sigterm_lifts_every_block_where_the_settings_say_so(agent: AnAgent) -> None:
    """It is told why each ended before the agent is gone; a crash keeps them all the same."""
    agent.config.write_text(agent.config.read_text().replace("[agent]", '[agent]\non_stop = "lift"'))
    agent.stop()
    await agent.started()
    assert is_right(agent)
    agent.process.kill()
    assert is_right(agent)
    await agent.started()
    assert agent.stop() == 0
    assert agent.in_force() == {}
    for order in (an_order("o1"), an_order("o2")):
        end = await agent.ended(order)
        assert (end.cause, end.outcome) == ("lifted", "reverted")
    await agent.started()
    assert agent.in_force() == {}


async def test_a_deleted_journal_takes_no_block_away(agent: AnAgent) -> None:
    """What is there is held as adopted, `applied new` when it is sent again, and lifted by hand like anything else."""
    agent.process.kill()
    for path in agent.state.glob("journal.db*"):
        path.unlink()
    await agent.started()
    assert is_right(agent)
    assert {(each["target"], each["adopted"]) for each in agent.command("effects")} == {(ATTACKER, True), (OTHER, True)}
    await agent.send(an_order("o1"))
    assert (await agent.answered("o1", 2)).detail == "new"
    assert agent.command("lift", OTHER)["lifted"] == [{"action": "firewall-drop", "target": OTHER, "orders": 0}]
    assert set(agent.in_force()) == {ATTACKER}


async def test_a_damaged_journal_takes_no_block_away(agent: AnAgent) -> None:
    """It is set aside, which the heartbeats say; blocks are held, and those that have an end come to it."""
    await agent.send(an_order("o3", STRANGER, timeout=4.0))
    ends = (await agent.answered("o3")).expires_at
    agent.process.kill()
    for path in agent.state.glob("journal.db*"):  # the log beside it has most of it, and would heal it
        path.write_bytes(b"\xa5" * path.stat().st_size)
    await agent.started()
    assert set(agent.in_force()) == {ATTACKER, OTHER, STRANGER}
    assert "journal.db.damaged-" in agent.heartbeats()[-1].trouble
    await eventually(lambda: is_right(agent), 6)
    assert ends is not None
    assert time.time() == pytest.approx(ends, abs=1.0)
