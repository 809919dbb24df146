"""An agent that is gone for good, with real daemons: its queue goes, and when it is back it has what is in force."""

import pytest

from tests.fault.a_fleet import Agent, Fleet
from tests.stage.wrong_clock import WrongClock
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]

AFTER = 2.0  # s: `gone_after`
SILENT = 40.0  # s that the manager's clock is set ahead, so that nobody has to wait for silence
LONG = 600.0  # s
FIRST, SECOND = "203.0.113.9", "203.0.113.10"


@pytest.fixture
def clock(idle_fleet: Fleet, tmp_path) -> WrongClock:
    """The manager's."""
    one = WrongClock(tmp_path)
    idle_fleet.manager.environment |= one.environment | {"THWART_MANAGER_GONE_AFTER": str(AFTER)}
    return one


@pytest.mark.parametrize("killed", [False, True])
def test_one_is_gone_and_comes_back(idle_fleet: Fleet, clock: WrongClock, killed: bool) -> None:
    """Also when the manager is killed once that is written down, and before anything follows from it.

    Who is connected stays, however far a clock was set.
    """
    fleet = idle_fleet
    fleet.manager.start(stop_at="gone" if killed else "")
    here, leaves = fleet.start("web1", "web2")
    leaves.process.kill()
    first = fleet.block(FIRST, LONG)
    clock.step(SILENT)
    if killed:
        fleet.manager.kill_where_it_stops()
        assert fleet.manager.states(first)["web2"] == "waiting"
        fleet.manager.start()
    wait_for(lambda: state(fleet, leaves) == "gone", 30)
    wait_for(lambda: fleet.manager.states(first) == {"web1": "applied", "web2": "withdrawn"}, 30)
    assert state(fleet, here) != "gone"
    second = fleet.block(SECOND, LONG)
    wait_for(lambda: fleet.manager.states(second) == {"web1": "applied"}, 30)
    assert not fleet.queues.consumers(leaves.queue) and not fleet.queues.messages(leaves.queue)
    leaves.start()
    for order in (first, second):
        wait_for(lambda order=order: fleet.manager.states(order) == {"web1": "applied", "web2": "applied"}, 30)
    for agent in (here, leaves):
        assert agent.kernel.now().keys() == {FIRST, SECOND}


def state(fleet: Fleet, agent: Agent) -> str:
    """What the manager says of it."""
    (said,) = [each["state"] for each in fleet.manager.get("/v1/agents")["agents"] if each["id"] == agent.name]
    return said
