"""The broker has lost all that it knew: queues, bindings, messages. Everybody makes them anew and catches up."""

import time

import pytest

from tests.fault import promise
from tests.fault.a_fleet import READY, Fleet
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
HELD, LOST, LATER = "203.0.113.10", "203.0.113.11", "203.0.113.12"


def test_the_brokers_data_directory_is_wiped(fleet: Fleet) -> None:
    """Blocks stay in force; an order that waited in a queue for its agent is sent again; new ones work as before."""
    agents = here, away = fleet.start("web1", "web2")
    held = fleet.block(HELD, 600)
    wait_for(lambda: all(agent.answers(held) for agent in agents))
    away.process.kill()
    lost = fleet.block(LOST, 600)
    wait_for(lambda: here.answers(lost) and fleet.queues.messages(away.queue) == 1)
    wait_for(lambda: fleet.manager.states(lost)["web1"] == "applied")
    wipe(fleet)
    assert here.kernel.now().keys() == {HELD, LOST}
    away.start()
    fleet.know(away)
    wait_for(lambda: fleet.queues.consumers(here.queue) == 1, READY)
    wait_for(lambda: away.answers(lost), READY)
    later = fleet.block(LATER, 600)
    wait_for(lambda: all(agent.answers(later) for agent in agents), READY)
    promise.in_force(later, *agents)
    began = time.time()
    for order in (held, lost, later):
        fleet.unblock(order.target)
    for order in (held, lost, later):
        promise.over(order, *agents)
    fleet.all_is_said()
    for order in (held, lost, later):
        promise.judged(fleet, order, *agents, lifted=(began, time.time()))


def wipe(fleet: Fleet) -> None:
    """It comes back with nothing but the daemons' user, as whoever runs it would make it again."""
    node = fleet.broker.node
    node.kill()
    node.wipe()
    node.start()
    node.admit(fleet.broker.login)
    wait_for(lambda: fleet.queues.consumers(fleet.judge.queue) == 1, READY)
