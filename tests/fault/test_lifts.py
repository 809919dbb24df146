"""A lift wins over its block wherever that is: in a queue, on hold, or in an agent's hands and not acked yet."""

import pytest

from tests.fault import promise
from tests.fault.a_fleet import READY, Fleet
from tests.integration.a_manager_daemon import ATTACKER
from tests.waiting import wait_for

NOBODY = "amqp://guest:guest@127.0.0.1:1/"

pytestmark = [pytest.mark.root, pytest.mark.broker]


def test_lifted_while_it_is_queued(fleet: Fleet) -> None:
    """The agent is away, and finds the block and its lift in its queue: it is never in force."""
    (agent,) = fleet.start("web1")
    agent.process.kill()
    order = fleet.block(ATTACKER, 600.0, agent)
    delete = fleet.unblock()
    wait_for(lambda: fleet.queues.messages(agent.queue) == 2, READY)
    agent.start()
    wait_for(lambda: agent.answers(order) and agent.answers(delete), READY)
    promise.never_in_force(fleet, order, "lifted", agent)
    promise.answered(delete, "lifted", agent)


def test_lifted_while_it_is_on_hold(fleet: Fleet) -> None:
    """It is never sent, and can't be approved any more; the agent knows it for lifted all the same."""
    (agent,) = fleet.start("web1")
    assert fleet.manager.thwart("pause").returncode == 0
    order = fleet.block(ATTACKER, 600.0, agent)
    delete = fleet.unblock()
    assert fleet.manager.thwart("resume").returncode == 0
    assert fleet.manager.thwart("approve", order.id).returncode == 1
    wait_for(lambda: agent.answers(delete), READY)
    fleet.orders(agent, order)  # as if it had been on its way when the pause came
    wait_for(lambda: agent.answers(order), READY)
    promise.answered(order, "lifted", agent)
    assert agent.kernel.stays(ATTACKER) == []
    assert [each.id for each in fleet.judge.orders] == [delete.id, order.id]
    assert fleet.manager.get(f"/v1/orders/{order.id}")["view"]["state"] == "lifted"


@pytest.mark.parametrize("point", ["arrived", "taken"])
def test_lifted_while_it_is_unacked(fleet: Fleet, point: str) -> None:
    """The agent is killed with the block in its hands, before or after it was written down: the lift ends it."""
    agent = fleet.agent("web1")
    agent.start(stop_at=point)
    fleet.know(agent)
    order = fleet.block(ATTACKER, 600.0, agent)
    wait_for(agent.stopped, READY)
    delete = fleet.unblock()
    agent.kill_where_it_stops()
    agent.start()
    wait_for(lambda: agent.answers(order) and agent.answers(delete), READY)
    promise.answered(delete, "lifted", agent)
    fleet.all_is_said()
    assert agent.kernel.now() == {}
    assert promise.the_one(agent.answers(order)).status in ("applied", "lifted")


def test_lifted_before_it_was_sent(fleet: Fleet) -> None:
    """The broker is away when a block is given, and the manager killed before the lift: only the lift is ever sent."""
    (agent,) = fleet.start("web1")
    broker = fleet.manager.environment["THWART_BROKER_URLS"]
    fleet.manager.kill()
    fleet.manager.environment["THWART_BROKER_URLS"] = NOBODY
    fleet.manager.start()
    order = fleet.block(ATTACKER, 600.0, agent)
    fleet.manager.kill()
    fleet.manager.start()
    delete = fleet.unblock()
    fleet.manager.kill()
    fleet.manager.environment["THWART_BROKER_URLS"] = broker
    fleet.manager.start()
    wait_for(lambda: agent.answers(delete), READY)
    fleet.all_is_said()
    assert agent.kernel.stays(ATTACKER) == []
    assert [each.id for each in fleet.judge.orders] == [delete.id]
    assert fleet.manager.states(order) == {"web1": "lifted"}
