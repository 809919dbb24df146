"""An agent that is new, or whose queue is gone with what was in it, gets what is in force within two seconds."""

import signal
import time

import pytest

from tests.fault import promise
from tests.fault.a_fleet import Fleet
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
SOON = 8.0  # s: a start of one, a heartbeat, a turn of catch-up; far less than any of their regular pauses


def test_a_fourth_agent_starts_after_a_block_for_all(fleet: Fleet) -> None:
    """It has the block in its kernel within two seconds, under the same order, and ends it when the others do."""
    three = fleet.start("web1", "web2", "web3")
    order = fleet.block(timeout=3)
    wait_for(lambda: all(agent.answers(order) for agent in three))
    fourth = fleet.agent("web4")
    fourth.start()
    wait_for(lambda: order.target in fourth.kernel.now(), SOON)
    promise.over(order, *three, fourth)
    promise.kept(fleet, order, *three, fourth)


def test_a_queue_is_deleted_while_its_agent_runs(fleet: Fleet) -> None:
    """What was in it, and what was sent before it was there again, comes within two seconds."""
    agents = here, deaf = fleet.start("web1", "web2")
    deaf.process.signal(signal.SIGSTOP)
    lost = fleet.block("203.0.113.10", 4)
    wait_for(lambda: here.answers(lost))
    fleet.queues.delete(deaf.queue)
    order = fleet.block("203.0.113.11", 4)
    wait_for(lambda: here.answers(order))
    deaf.process.signal(signal.SIGCONT)
    wait_for(lambda: {lost.target, order.target} <= deaf.kernel.now().keys(), SOON)
    for each in (lost, order):
        promise.over(each, *agents)
        promise.kept(fleet, each, *agents)


@pytest.mark.parametrize("manager_away", [False, True])
def test_a_queue_is_deleted_while_its_agent_is_away(fleet: Fleet, manager_away: bool) -> None:
    """The agent has everything within two seconds of its start, or of the manager's, if that was away too."""
    agents = here, away = fleet.start("web1", "web2")
    away.process.kill()
    order = fleet.block(timeout=3)
    wait_for(lambda: here.answers(order))
    fleet.queues.delete(away.queue)
    if manager_away:
        fleet.manager.kill()
    away.start()
    if manager_away:
        away.ready()
        fleet.manager.start()
    wait_for(lambda: order.target in away.kernel.now(), SOON)
    promise.over(order, *agents)
    promise.kept(fleet, order, *agents)


def test_a_queue_is_deleted_while_its_manager_runs(idle_fleet: Fleet) -> None:
    """An answer and an end that were in it are heard all the same: who seems to have said nothing is asked again."""
    fleet = idle_fleet
    fleet.manager.environment["THWART_MANAGER_ANSWER_WITHIN"] = "1"
    fleet.manager.start()
    (agent,) = fleet.start("web1")
    ending = fleet.block("203.0.113.10", 4)
    wait_for(lambda: fleet.manager.states(ending) == {"web1": "applied"})
    agent.process.signal(signal.SIGSTOP)
    order = fleet.block(timeout=600)
    wait_for(lambda: fleet.queues.messages(agent.queue) == 1)
    fleet.manager.process.signal(signal.SIGSTOP)
    agent.process.signal(signal.SIGCONT)
    wait_for(lambda: agent.answers(order) and agent.ends(ending), promise.PATIENCE)
    fleet.queues.delete("thwart.manager.events")
    fleet.manager.process.signal(signal.SIGCONT)
    wait_for(lambda: fleet.manager.states(order) == {"web1": "applied"}, promise.PATIENCE)
    wait_for(lambda: fleet.manager.states(ending) == {"web1": "ended"}, promise.PATIENCE)
    began = time.time()
    fleet.unblock()
    promise.over(order, agent)
    promise.kept(fleet, order, agent, lifted=(began, time.time()))
    promise.judged(fleet, ending, agent)
