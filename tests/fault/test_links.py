"""The link between a daemon and its broker breaks, or hangs, or an end of it is stopped, while both ends live."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.fault import promise
from tests.fault.a_fleet import READY, Fleet
from tests.stage.proxy import Proxy
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
URLS, QUICK = "THWART_BROKER_URLS", "?heartbeat=1"
FIRST, SECOND = "203.0.113.10", "203.0.113.11"
NOTICED = 25.0  # s: pika looks at a heartbeat of 1 s every 6 s, and closes at the second look


@pytest.fixture
def proxy(idle_fleet: Fleet) -> Iterator[Proxy]:
    """Leads to the broker."""
    with Proxy(idle_fleet.broker.url) as one:
        yield one


@pytest.fixture
def quick(idle_fleet: Fleet) -> Fleet:
    """A manager that runs and an agent that runs, with AMQP heartbeats of a second."""
    idle_fleet.manager.environment[URLS] = idle_fleet.broker.url + QUICK
    idle_fleet.manager.start()
    agent = idle_fleet.agent("web1")
    agent.environment[URLS] = idle_fleet.broker.url + QUICK
    agent.start()
    idle_fleet.know(agent)
    return idle_fleet


def test_connections_are_reset_in_the_middle_of_a_flood(idle_fleet: Fleet, proxy: Proxy) -> None:
    """Whatever was half sent when a connection broke is neither lost nor done twice, whichever end had it."""
    fleet = idle_fleet
    fleet.manager.environment[URLS] = proxy.url
    fleet.manager.start()
    agents = fleet.agent("web1"), fleet.agent("web2")
    for agent in agents:
        agent.environment[URLS] = proxy.url
        agent.start()
    fleet.know(*agents)
    orders = []
    for number in range(40):
        orders.append(fleet.block(f"203.0.113.{100 + number}", 4))
        if number % 10 == 5:
            proxy.cut()
    promise.over(orders[-1], *agents)
    fleet.all_is_said()
    for order in orders:
        promise.judged(fleet, order, *agents)


def test_a_delete_overtakes_its_add_on_a_half_open_link(idle_fleet: Fleet, proxy: Proxy) -> None:
    """What a dead connection held and the broker gets when all is over changes nothing: the block was lifted before."""
    fleet = idle_fleet
    fleet.manager.environment[URLS] = proxy.url
    fleet.manager.start()
    (agent,) = fleet.start("web1")
    proxy.hold()
    order = fleet.block(timeout=60)
    wait_for(lambda: proxy.holds(order.id))
    lift = fleet.unblock()
    proxy.abandon()
    wait_for(lambda: agent.answers(lift), READY)
    assert not agent.answers(order), "its add is still on its way"
    proxy.let_go()
    wait_for(lambda: agent.answers(order), READY)
    promise.never_in_force(fleet, order, "lifted", agent)
    promise.answered(lift, "lifted", agent)


def test_an_agents_link_is_half_open(idle_fleet: Fleet, proxy: Proxy) -> None:
    """What was delivered into nowhere comes again when the broker has noticed; until then its own lock keeps it out."""
    fleet = idle_fleet
    fleet.manager.start()
    agent = fleet.agent("web1")
    agent.environment[URLS] = proxy.url + QUICK
    agent.start()
    fleet.know(agent)
    proxy.hold()
    orders = [fleet.block(target, 8) for target in (FIRST, SECOND)]
    lift = fleet.unblock(SECOND)
    wait_for(lambda: fleet.queues.messages(agent.queue) == 3, NOTICED)
    proxy.abandon()
    wait_for(lambda: agent.answers(lift), NOTICED)
    promise.over(orders[0], agent)
    promise.kept(fleet, orders[0], agent)
    promise.answered(orders[1], "lifted", agent)
    assert agent.kernel.stays(SECOND) == []
    assert "RESOURCE_LOCKED" in agent.process.last_words(100)


def test_an_agent_is_stopped_for_two_heartbeats(quick: Fleet) -> None:
    """Its blocks end on time all the same; what came meanwhile it takes when it goes on, once."""
    fleet, (agent,) = quick, quick.agents
    before = fleet.block(FIRST, 2)
    wait_for(lambda: agent.answers(before))
    agent.process.signal(signal.SIGSTOP)
    during = fleet.block(SECOND, 60)
    wait_for(lambda: fleet.queues.consumers(agent.queue) == 0, NOTICED)
    wait_for(lambda: time.time() > before.expires_at + promise.LATE)
    promise.in_force_once(agent, before)
    agent.process.signal(signal.SIGCONT)
    wait_for(lambda: agent.answers(during), READY)
    promise.in_force(during, agent)
    lift = fleet.unblock(SECOND)
    promise.over(during, agent)
    promise.kept(fleet, before, agent)
    promise.kept(fleet, during, agent, lifted=(lift.issued_at, time.time()))


def test_the_broker_is_stopped_for_two_heartbeats(quick: Fleet) -> None:
    """Both daemons give it up and come back; blocks end on time meanwhile, and what was ordered meanwhile comes."""
    fleet, (agent,) = quick, quick.agents
    before = fleet.block(FIRST, 3)
    wait_for(lambda: agent.answers(before))
    os.kill(fleet.broker.node.pid, signal.SIGSTOP)
    try:
        during = fleet.block(SECOND, 600)
        wait_for(lambda: "broker_lost" in agent.process.last_words(50), NOTICED)
        wait_for(lambda: fleet.manager.said("broker_lost"), NOTICED)
        wait_for(lambda: time.time() > before.expires_at + promise.LATE)
    finally:
        os.kill(fleet.broker.node.pid, signal.SIGCONT)
    promise.in_force_once(agent, before)
    wait_for(lambda: agent.answers(during), READY)
    promise.in_force(during, agent)
    lift = fleet.unblock(SECOND)
    promise.over(during, agent)
    promise.kept(fleet, before, agent)
    promise.kept(fleet, during, agent, lifted=(lift.issued_at, time.time()))
