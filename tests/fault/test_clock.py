"""A clock is stepped by an hour: what is in force keeps its length, and what can't be right is refused by name."""

import time

import pytest

from shared.messages import Order
from tests.fault import promise
from tests.fault.a_fleet import Agent, Fleet
from tests.stage.wrong_clock import WrongClock
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]

HOUR = 3_600.0
LONG, SHORT = 5.0, 3.0  # s


@pytest.mark.parametrize("hours", [1, -1])
def test_an_agents_clock_is_stepped(fleet: Fleet, tmp_path, hours: int) -> None:
    """A block in force ends when it would have. Ahead, it calls a new order stale; behind, that keeps its length."""
    clock = WrongClock(tmp_path)
    agent = fleet.agent("web1")
    agent.environment = clock.environment
    agent.start()
    fleet.know(agent)
    before = fleet.block("203.0.113.9", LONG)
    wait_for(lambda: agent.answers(before))
    clock.step(hours * HOUR)
    during = fleet.block("203.0.113.10", SHORT)
    wait_for(lambda: agent.answers(during))
    assert agent.answers(during)[0].status == ("stale" if hours > 0 else "applied")
    fleet.queues.cut()  # it says at once how it is
    wait_for(lambda: abs(skew(fleet, agent)) > HOUR / 2, 15)
    wait_for(lambda: agent.ends(before), LONG + promise.PATIENCE)
    promise.in_force_once(agent, before)
    if hours < 0:
        wait_for(lambda: agent.ends(during), promise.PATIENCE)
        promise.in_force_once(agent, during)
    clock.step(0)
    after = fleet.block("203.0.113.11", SHORT)
    promise.over(after, agent)
    promise.kept(fleet, after, agent)


@pytest.mark.parametrize("hours", [1, -1])
def test_the_managers_clock_is_stepped(idle_fleet: Fleet, tmp_path, hours: int) -> None:
    """A block in force ends when it would have. Ahead, new blocks keep their length; behind, agents call them stale."""
    fleet, clock = idle_fleet, WrongClock(tmp_path)
    fleet.manager.environment |= clock.environment
    fleet.manager.start()
    (agent,) = fleet.start("web1")
    before = fleet.block("203.0.113.9", LONG)
    wait_for(lambda: agent.answers(before))
    clock.step(hours * HOUR)
    began = time.time()
    during = fleet.block("203.0.113.10", SHORT)
    wait_for(lambda: agent.answers(during))
    assert agent.answers(during)[0].status == ("applied" if hours > 0 else "stale")
    wait_for(lambda: agent.ends(before), LONG + promise.PATIENCE)
    promise.in_force_once(agent, before)
    if hours > 0:
        wait_for(lambda: agent.ends(during), promise.PATIENCE)
        lasted(agent, during, began)
    clock.step(0)
    after = fleet.block("203.0.113.11", SHORT)
    promise.over(after, agent)
    promise.kept(fleet, after, agent)


def lasted(agent: Agent, order: Order, began: float) -> None:
    """It was in force for its timeout from when it was given, by a clock that is right."""
    (stay,) = agent.kernel.stays(order.target)
    assert order.timeout - promise.EARLY <= stay.gone - began
    assert stay.until - began <= order.timeout + promise.LATE


def skew(fleet: Fleet, agent: Agent) -> float:
    """By how much the manager says that the agent's clock is off."""
    (said,) = [each["skew"] for each in fleet.manager.get("/v1/agents")["agents"] if each["id"] == agent.name]
    return float(said)
