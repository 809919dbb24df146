"""The agent is killed, with SIGKILL, at every point between the broker's delivery and the broker's last confirm."""

import time

import pytest

from tests.fault import promise
from tests.fault.a_fleet import Fleet
from tests.fault.an_agent_that_stops import ENDING, HALFWAY, TAKING
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]


def test_killed_while_it_takes_an_order(fleet: Fleet) -> None:
    """An order takes effect once, ends on time and is answered once, wherever in between the agent was killed."""
    agents = fleet.start_one_for_each(TAKING)
    order = fleet.block(timeout=4)
    for agent in agents:
        agent.kill_where_it_stops()
    for agent in agents:
        agent.start()
    promise.over(order, *agents)
    promise.kept(fleet, order, *agents)


def test_killed_in_the_middle_of_a_batch(fleet: Fleet) -> None:
    """Of a batch that was carried out by half, every order takes effect once, ends on time and is answered once."""
    agent = fleet.agent("web1")
    agent.start()
    fleet.know(agent)
    agent.process.stop()
    orders = [fleet.block(f"203.0.113.{number}", 12) for number in range(1, 21)]
    agent.start(stop_at=HALFWAY)
    agent.kill_where_it_stops()
    assert 0 < len(agent.kernel.now()) < len(orders)
    agent.start()
    promise.over(orders[-1], agent)
    fleet.all_is_said()
    for order in orders:
        promise.judged(fleet, order, agent)


def test_killed_while_it_ends_a_block(fleet: Fleet) -> None:
    """A block ends on time and its end is told once, wherever in between the agent was killed."""
    agents = fleet.start_one_for_each(ENDING)
    order = fleet.block(timeout=2)
    for agent in agents:
        agent.kill_where_it_stops()
    for agent in agents:
        agent.start()
    promise.over(order, *agents)
    promise.kept(fleet, order, *agents)


def test_killed_while_it_lifts_a_block(fleet: Fleet) -> None:
    """A lift that was taken is carried out and answered once, wherever in between the agent was killed."""
    agents = fleet.start_one_for_each(["confirmed expiry"] * 5)
    order = fleet.block(timeout=60)
    wait_for(lambda: all(agent.answers(order) for agent in agents))
    for agent, point in zip(agents, ("arrived", "taken", "reverting", "reverted", "ended"), strict=True):
        agent.process.stop()
        agent.start(stop_at=point)
    fleet.know(*agents)
    lift = fleet.unblock()
    for agent in agents:
        agent.kill_where_it_stops()
    for agent in agents:
        agent.start()
    fleet.know(*agents)
    promise.over(order, *agents)
    promise.kept(fleet, order, *agents, lifted=(lift.issued_at, time.time()))
    promise.answered(lift, "lifted", *agents)
    promise.written_down(fleet, lift, dict.fromkeys(agents, "lifted"))


def test_killed_over_a_block_that_is_lifted_meanwhile(fleet: Fleet) -> None:
    """A `delete` that is taken while its `add` is being carried out wins: what the crash left is taken back."""
    agent = fleet.agent("web1")
    agent.start(stop_at="applied")
    fleet.know(agent)
    order = fleet.block(timeout=60)
    wait_for(agent.stopped)
    lift = fleet.unblock()
    wait_for(lambda: agent.rows("SELECT 1 FROM tombstones"))
    assert order.target in agent.kernel.now()
    agent.kill_where_it_stops()
    agent.start()
    wait_for(lambda: agent.answers(lift))
    fleet.all_is_said()
    promise.in_force_once(agent, order, lifted=(lift.issued_at, time.time()))
    assert order.target not in agent.kernel.now()
    for each in (order, lift):
        promise.answered(each, "lifted", agent)
        promise.written_down(fleet, each, {agent: "lifted"})
    assert agent.ends(order) == []


def test_killed_and_away_until_the_block_was_over(fleet: Fleet) -> None:
    """The kernel ends on time what nobody else can; what was not answered yet is answered `stale`."""
    agents = fleet.start_one_for_each(["taken", "applying", "applied", "answered"])
    order = fleet.block(timeout=2)
    for agent in agents:
        agent.kill_where_it_stops()
    wait_for(lambda: time.time() > order.expires_at + promise.LATE)
    *unanswered, answered = agents
    *unborn, applied = unanswered
    promise.in_force_once(applied, order)
    promise.in_force_once(answered, order)
    for agent in agents:
        agent.start()
    promise.over(order, answered)
    fleet.all_is_said()
    promise.answered(order, "stale", *unanswered)
    promise.answered(order, "applied", answered)
    assert [agent.kernel.stays(order.target) for agent in unborn] == [[], []]
    assert [agent.ends(order) for agent in unanswered] == [[], [], []]
    promise.written_down(fleet, order, {**dict.fromkeys(unanswered, "stale"), answered: "ended"})
