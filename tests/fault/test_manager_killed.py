"""The manager is killed, with SIGKILL, at every point between log lines and the last that it hears of their order."""

import pytest

from shared import topology
from tests.fault import promise
from tests.fault.a_fleet import TIMEOUT, Fleet
from tests.fault.a_manager_that_stops import ORDERING
from tests.integration.a_manager_daemon import ATTACKER, COUNT, attack
from tests.integration.an_agent import an_order
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
FIRED = "SELECT id FROM alerts WHERE rule_id = '5712'"
LINES = "thwart_log_lines_total"


@pytest.mark.parametrize("point", [point for point in ORDERING if point != "sending order"])
def test_killed_while_it_orders(idle_fleet: Fleet, point: str) -> None:
    """Log lines lead to one alert and one order, which takes effect once, wherever the manager was killed."""
    fleet = idle_fleet
    fleet.manager.start(stop_at=point)
    agents = fleet.start("web1", "web2")
    fleet.log(attack())
    fleet.manager.kill_where_it_stops()
    fleet.manager.start()
    (order,) = fleet.given()
    promise.over(order, *agents)
    promise.kept(fleet, order, *agents)
    assert [each.id for each in fleet.judge.orders] == [order.id]
    assert fleet.manager.rows(FIRED) == [(order.alert["id"],)]


def test_killed_between_the_ledger_and_the_ack_of_an_answer(idle_fleet: Fleet) -> None:
    """Answers that come again change nothing, and an end that was told to nobody is heard."""
    fleet = idle_fleet
    fleet.manager.start(stop_at="acking event")
    (agent,) = fleet.start("web1")
    order = fleet.block(timeout=1.5)
    fleet.manager.kill_where_it_stops()
    assert fleet.manager.states(order) == {"web1": "applied"}
    promise.over(order, agent)
    assert fleet.queues.messages("thwart.manager.events") == 2
    fleet.manager.start()
    promise.kept(fleet, order, agent)
    assert fleet.manager.metric('thwart_acknowledgements_total{status="applied"}') == 0
    assert fleet.manager.metric('thwart_expiries_total{outcome="reverted"}') == 1


def test_killed_between_the_ledger_and_the_ack_of_anothers_order(idle_fleet: Fleet) -> None:
    """An order of another correlator's that comes again is the one that was written down."""
    fleet = idle_fleet
    fleet.manager.start(stop_at="acking order")
    (agent,) = fleet.start("web1")
    order = an_order("of-a-siem", timeout=1.5)
    fleet.orders(agent, order)
    fleet.manager.kill_where_it_stops()
    assert fleet.manager.rows("SELECT id, origin FROM orders") == [(order.id, "foreign")]
    promise.over(order, agent)
    fleet.manager.start()
    promise.kept(fleet, order, agent)
    fleet.queues.empty("thwart.manager.orders")
    assert fleet.manager.rows("SELECT id, origin FROM orders") == [(order.id, "foreign")]
    assert fleet.manager.rows("SELECT count(*) FROM dead_letters") == [(0,)]


def test_killed_between_the_ledger_and_the_ack_of_a_dead_letter(idle_fleet: Fleet) -> None:
    """What could not be taken is written down before the broker forgets it."""
    fleet = idle_fleet
    fleet.manager.start(stop_at="acking dead letter")
    fleet.publish(topology.DEAD, "all", "order", b"no order")
    fleet.manager.kill_where_it_stops()
    assert fleet.manager.rows("SELECT body FROM dead_letters") == [(b"no order",)]
    assert fleet.queues.messages("thwart.manager.dead") == 1
    fleet.manager.start()
    fleet.queues.empty("thwart.manager.dead")


def test_lines_that_are_delivered_again_are_not_counted_again(idle_fleet: Fleet) -> None:
    """Killed between the ledger and the batch's ack: the batch comes again and counts for nothing.

    What was counted so far is forgotten with the process: the rule needs all of its lines anew, and fires then.
    """
    fleet = idle_fleet
    fleet.manager.start(stop_at="acking log")
    (agent,) = fleet.start("web1")
    fleet.log(attack(0, COUNT - 1))
    fleet.manager.kill_where_it_stops()
    assert fleet.queues.messages("thwart.manager.logs") == 1
    fleet.manager.start()
    wait_for(lambda: fleet.manager.metric("thwart_log_lines_known_total") == COUNT - 1)
    fleet.log(attack(COUNT - 1, COUNT - 1))
    wait_for(lambda: fleet.manager.metric(LINES) == COUNT - 1)
    assert fleet.manager.rows(FIRED) == []
    fleet.log(attack(2 * COUNT - 2, 1))
    (order,) = fleet.given()
    promise.over(order, agent)
    promise.kept(fleet, order, agent)
    assert len(fleet.manager.rows(FIRED)) == len(fleet.judge.orders) == 1


def test_a_request_that_is_sent_again_is_one_order(idle_fleet: Fleet) -> None:
    """Killed between the ledger and the broker: whoever ordered it asks again and gets the same order, sent once."""
    fleet = idle_fleet
    fleet.manager.start(stop_at="sending order")
    (agent,) = fleet.start("web1")
    order = fleet.block(request="asked-twice")
    fleet.manager.kill_where_it_stops()
    assert fleet.judge.orders == []
    fleet.manager.start()
    assert fleet.block(request="asked-twice") == order
    promise.over(order, agent)
    promise.kept(fleet, order, agent)
    assert fleet.judge.orders == [order]
    assert (order.target, order.timeout) == (ATTACKER, TIMEOUT)
