"""The broker's memory or disk is short, so that it takes nothing: orders wait, and all the rest goes on."""

import time
from collections.abc import Iterator

import pytest
from msgspec import Struct

from tests.fault import promise
from tests.fault.a_fleet import READY, Fleet
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
FIRST, SECOND, THIRD = "203.0.113.10", "203.0.113.11", "203.0.113.12"
SHORT = 9.0  # s: an agent that gets no confirm after a block asks within that time whether it is cut off


class Alarm(Struct, frozen=True, kw_only=True):
    """Erlang that raises it and ends it."""

    on: str
    off: str


ALARMS = {
    "memory": Alarm(
        on="vm_memory_monitor:set_vm_memory_high_watermark(0.00001)",
        off="vm_memory_monitor:set_vm_memory_high_watermark(0.4)",
    ),
    "disk": Alarm(
        on="rabbit_disk_monitor:set_disk_free_limit(1 bsl 60)", off="rabbit_disk_monitor:set_disk_free_limit(50000000)"
    ),
}


@pytest.fixture(params=ALARMS)
def alarm(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[Alarm]:
    """Off again after the test."""
    one = ALARMS[request.param]
    yield one
    fleet.broker.node.evaluate(one.off)


def test_the_broker_takes_nothing_for_a_while(fleet: Fleet, alarm: Alarm) -> None:
    """What was delivered before is acked and carried out, and stays; blocks end on time; the rest comes afterwards."""
    agent = fleet.agent("web1")
    agent.start(stop_at="arrived")
    fleet.know(agent)
    first, second = fleet.block(FIRST, SHORT), fleet.block(SECOND, 600)
    wait_for(agent.stopped, READY)
    wait_for(lambda: fleet.queues.messages(agent.queue) == 2)
    fleet.broker.node.evaluate(alarm.on)
    third = fleet.block(THIRD, 600)
    agent.go_on()
    wait_for(lambda: fleet.queues.messages(agent.queue) == 0)
    wait_for(lambda: agent.kernel.now().keys() == {FIRST, SECOND})
    wait_for(lambda: time.time() > first.expires_at + promise.LATE, 2 * SHORT)
    assert agent.kernel.now().keys() == {SECOND}
    assert not agent.answers(first) + agent.ends(first), "what it has to say waits"
    fleet.broker.node.evaluate(alarm.off)
    wait_for(lambda: all(agent.answers(order) for order in (first, second, third)), READY)
    promise.in_force(third, agent)
    began = time.time()
    for order in (second, third):
        fleet.unblock(order.target)
        promise.over(order, agent)
    promise.kept(fleet, first, agent)
    for order in (second, third):
        promise.judged(fleet, order, agent, lifted=(began, time.time()))
