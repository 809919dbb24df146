"""The broker crashes, or the network between it and everybody breaks, while both daemons live."""

import time

import pytest

from tests.conftest import BOTH
from tests.fault import promise
from tests.fault.a_fleet import Fleet
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
LATER, WAITING = "203.0.113.10", "203.0.113.11"


def test_the_broker_is_killed_and_comes_back(fleet: Fleet) -> None:
    """Blocks hold and end while it is away, and everybody hears of it afterwards; what it had taken it has kept."""
    here, away = agents = fleet.start("web1", "web2")
    order = fleet.block(timeout=2)
    wait_for(lambda: all(agent.answers(order) for agent in agents))
    away.process.kill()
    waiting = fleet.block(WAITING, 600, away)
    wait_for(lambda: not fleet.manager.rows("SELECT 1 FROM outbox"))  # confirmed: before that it is not promised
    assert fleet.queues.messages(away.queue) == 1
    fleet.broker.node.sync()
    fleet.broker.node.kill()
    later = fleet.block(LATER, 600, here)
    wait_for(lambda: order.target not in here.kernel.now())
    promise.in_force_once(here, order)
    fleet.broker.node.start()
    assert fleet.queues.messages(away.queue) == 1
    away.start()
    fleet.know(*agents)
    wait_for(lambda: here.answers(later) and away.answers(waiting), promise.PATIENCE)
    assert (here.kernel.now().keys(), away.kernel.now().keys()) == ({LATER}, {WAITING})
    lifts = [fleet.unblock(target) for target in (LATER, WAITING)]
    wait_for(lambda: here.ends(later) and away.ends(waiting))
    promise.kept(fleet, order, *agents)
    promise.answered(lifts[0], "lifted", here)
    promise.answered(lifts[1], "lifted", away)
    for one, agent in ((later, here), (waiting, away)):
        promise.answered(one, "applied", agent)
        assert promise.the_one(agent.ends(one)).cause == "lifted"
    assert fleet.manager.states(later) == {"web1": "ended"}


def test_a_connection_is_lost_under_what_is_being_sent(idle_fleet: Fleet) -> None:
    """An order, an answer and an end that were written to a dead connection are sent again on the next one."""
    fleet = idle_fleet
    fleet.manager.start(stop_at="sending order")
    answering, ending = agents = fleet.agent("web1"), fleet.agent("web2")
    answering.start(stop_at="sending acknowledgement")
    ending.start(stop_at="sending expiry")
    fleet.know(*agents)
    order = fleet.block(timeout=4)
    for daemon in (fleet.manager, *agents):
        wait_for(daemon.stopped, promise.PATIENCE)
        fleet.queues.cut()
        daemon.go_on()
    promise.over(order, *agents)
    promise.kept(fleet, order, *agents)


@pytest.mark.parametrize("queue_type", ["quorum"])
@pytest.mark.parametrize("rabbitmq", BOTH)
def test_one_queue_has_no_leader(fleet: Fleet) -> None:
    """An order that can't be confirmed holds up no other; it is carried out as soon as its queue has a leader."""
    agents = here, hung = fleet.start("web1", "web2")
    fleet.queues.hang(hung.queue)
    order = fleet.block(timeout=600)
    wait_for(lambda: here.answers(order))
    later = fleet.block(LATER, 600, here)
    wait_for(lambda: here.answers(later))
    assert fleet.manager.rows("SELECT 1 FROM outbox") and not hung.answers(order)
    fleet.queues.mend(hung.queue)
    wait_for(lambda: hung.answers(order), promise.PATIENCE)
    promise.in_force(order, *agents)
    promise.in_force(later, here)
    began = time.time()
    for target in (order.target, LATER):
        fleet.unblock(target)
    promise.over(order, *agents)
    promise.over(later, here)
    fleet.all_is_said()
    promise.judged(fleet, order, *agents, lifted=(began, time.time()))
    promise.judged(fleet, later, here, lifted=(began, time.time()))


def test_connections_are_cut_in_the_middle_of_a_flood(fleet: Fleet) -> None:
    """Whatever was on its way when the connections broke is neither lost nor done twice."""
    agents = fleet.start("web1", "web2")
    orders = []
    for number in range(30):
        orders.append(fleet.block(f"203.0.113.{100 + number}", 4))
        if number in (5, 15, 25):
            fleet.queues.cut()
    promise.over(orders[-1], *agents)
    fleet.all_is_said()
    for order in orders:
        promise.judged(fleet, order, *agents)
