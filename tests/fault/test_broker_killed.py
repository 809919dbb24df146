"""The broker is killed, with SIGKILL, and started again at every point at which a daemon could be; on each version.

And the opposite: a daemon is killed again and again, and the broker never loses patience with what it brought.
"""

import time
from collections.abc import Sequence

import pytest

from shared.messages import Order
from tests.conftest import BOTH
from tests.fault import promise
from tests.fault.a_fleet import OSSEC_CONF, TIMEOUT, Agent, Fleet
from tests.fault.an_agent_that_stops import TAKING
from tests.integration.a_manager_daemon import attack
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.broker,
    pytest.mark.parametrize("queue_type", ["classic", "quorum"]),
    pytest.mark.parametrize("rabbitmq", BOTH),
]
TARGETS = "203.0.113.10", "203.0.113.11", "203.0.113.12"
KILLS = 22  # RabbitMQ 4 gives a message in a quorum queue 20 deliveries, unless it is told otherwise


def test_an_agent_is_killed_more_often_than_a_broker_delivers(fleet: Fleet) -> None:
    """The same orders, unacked through more than twenty crashes, are carried out once, and none is set aside."""
    (agent,) = fleet.start("web1")
    agent.process.kill()
    orders = [fleet.block(target, 600, agent) for target in TARGETS]
    wait_for(lambda: fleet.queues.messages(agent.queue) == len(orders))
    for _ in range(KILLS):
        agent.start(stop_at="arrived")
        agent.kill_where_it_stops()
    agent.start()
    wait_for(lambda: all(agent.answers(order) for order in orders), promise.PATIENCE)
    assert fleet.manager.rows("SELECT reason FROM dead_letters") == []
    lift_and_judge(fleet, agent, orders=orders)


def test_while_agents_take_an_order(fleet: Fleet) -> None:
    """An order takes effect once and is answered once on each agent, wherever that was when the broker crashed."""
    # but not before it changes the kernel: what comes back seconds later would put in an end that it has counted before
    agents = fleet.start_one_for_each([point for point in TAKING if point != "applying"])
    order = fleet.block(timeout=600)
    for agent in agents:
        wait_for(agent.stopped, promise.PATIENCE)
    crash(fleet)
    for agent in agents:
        agent.go_on()
    fleet.know(*agents)
    wait_for(lambda: all(agent.answers(order) for agent in agents), promise.PATIENCE)
    lift_and_judge(fleet, *agents, orders=[order])


@pytest.mark.parametrize("point", ["acking log", "sent order"])
def test_while_the_manager_orders(idle_fleet: Fleet, point: str) -> None:
    """Log lines lead to one order that takes effect once, though the broker forgot that it has the one or the other."""
    fleet = idle_fleet
    (fleet.manager.folder / "ossec.conf").write_text(OSSEC_CONF.replace(f">{TIMEOUT:.0f}<", ">600<"))
    fleet.manager.start(stop_at=point)
    (agent,) = fleet.start("web1")
    fleet.log(attack())
    wait_for(fleet.manager.stopped, promise.PATIENCE)
    crash(fleet)
    fleet.manager.go_on()
    (order,) = fleet.given()
    wait_for(lambda: agent.answers(order), promise.PATIENCE)
    assert [each.id for each in fleet.judge.orders] == [order.id]
    lift_and_judge(fleet, agent, orders=[order])


def lift_and_judge(fleet: Fleet, *agents: Agent, orders: Sequence[Order]) -> None:
    """The orders, which are in force, held on each of `agents` until they were lifted."""
    for order in orders:
        promise.in_force(order, *agents)
    began = time.time()
    for order in orders:
        fleet.unblock(order.target)
    for order in orders:
        promise.over(order, *agents)
    fleet.all_is_said()
    for order in orders:
        promise.judged(fleet, order, *agents, lifted=(began, time.time()))


def crash(fleet: Fleet) -> None:
    """The broker is killed and is there again on return."""
    fleet.broker.node.sync()  # of what was declared; a message is safe when it is confirmed
    fleet.broker.node.kill()
    fleet.broker.node.start()
