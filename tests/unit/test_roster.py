"""Which agents there are, in memory and on the disk."""

import pytest

from manager.ledger import agents
from tests.unit.a_manager import START, a_manager, heartbeat


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


def _written(manager) -> list[agents.Agent]:
    return manager.store.run_now(agents.load)


async def test_an_agent_is_silent_after_thirty_seconds(manager):
    """An agent is living for 30 s after a heartbeat, by the manager's clock, and silent then."""
    await manager.hear("web1")
    (agent,) = manager.roster.agents()
    manager.clock.passed = 29.9
    assert (manager.roster.life(agent), manager.roster.living()) == ("living", ["web1"])
    manager.clock.passed = 30.0
    assert (manager.roster.life(agent), manager.roster.living()) == ("silent", [])


async def test_a_clock_that_is_put_back_keeps_nobody_alive(manager):
    """Who was last heard of an hour ahead is silent until the next heartbeat; else the dead would live for an hour."""
    manager.clock.passed = 3_600.0
    await manager.hear("web1")
    manager.clock.passed = 0.0
    assert manager.roster.living() == []
    await manager.hear("web1")
    assert manager.roster.living() == ["web1"]


async def test_an_ordinary_heartbeat_costs_no_commit(manager):
    """Only what matters is written at once; the rest is written behind."""
    await manager.hear("web1")
    manager.clock.passed = 10.0
    await manager.hear("web1", trouble="journal full")
    assert _written(manager)[0].seen_at == START
    assert manager.roster.get("web1").heartbeat.trouble == "journal full"
    await manager.roster.write_behind()
    (agent,) = _written(manager)
    assert (agent.seen_at, agent.first_seen_at, agent.heartbeat.trouble) == (START + 10, START, "journal full")


async def test_newcomers_are_written_down_together(manager):
    """Every agent of one batch of first heartbeats is in the ledger after it."""
    await manager.hear("web1", "web2", "web3")
    assert [agent.id for agent in _written(manager)] == ["web1", "web2", "web3"]


@pytest.mark.parametrize("change", [{"journal": "another"}, {"roles": ("server",)}])
async def test_what_others_depend_on_is_written_at_once(manager, change):
    """Another journal and other roles are in the ledger before anything else is done."""
    await manager.hear("web1")
    manager.clock.passed = 10.0
    await manager.hear("web1", **change)
    assert _written(manager) == manager.roster.agents()


def test_skew_is_the_distance_of_the_clocks(manager):
    """An agent whose clock is behind has a positive skew of that many seconds."""
    (heard,) = manager.roster.heard([heartbeat("web1", START - 7.5)])
    assert heard.agent.skew == 7.5


def test_an_audience_is_fixed_when_it_is_asked_for(manager):
    """Who joins after an order was decided is not in its audience; the ledger sees to them when they join."""
    manager.roster.heard([heartbeat("web1")])
    members = manager.roster.members()
    manager.roster.heard([heartbeat("web2")])
    assert members.audience("all", ()).known == ("web1",)
    audience = members.audience("agent", ("web1", "web2"))
    assert (audience.known, audience.unknown) == (("web1",), ("web2",))
