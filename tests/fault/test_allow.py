"""An address comes onto the allowlist while a block of it is anywhere on its way: it isn't in force afterwards."""

import time

import httpx
import pytest

from shared import codec, topology
from shared.messages import Policy, PolicyEntry
from tests.fault import promise
from tests.fault.a_fleet import READY, Agent, Fleet
from tests.fault.an_agent_that_stops import RULED
from tests.integration.a_manager_daemon import ATTACKER
from tests.integration.an_agent import an_order
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
OFFICE = "203.0.113.0/24"  # ATTACKER is in it
LATER = 1_000_000  # s: a version that no manager gives here


def allow(fleet: Fleet, network: str = OFFICE) -> None:
    done = fleet.manager.thwart("allow", "add", network, "--reason", "the office")
    assert done.returncode == 0, done.stderr


def tell(fleet: Fleet, agent: Agent) -> None:
    """An allowlist alone, without the lifts that a manager sends before it."""
    policy = Policy(version=int(time.time()) + LATER, entries=(PolicyEntry(network=OFFICE, reason="the office"),))
    fleet.publish(topology.ORDERS, f"agent.{agent.name}", topology.POLICY, codec.encode(policy))


def test_added_while_the_block_is_queued(fleet: Fleet) -> None:
    """The agent is away, and finds the block, its lift and the list in its queue: it is never in force."""
    (agent,) = fleet.start("web1")
    agent.process.kill()
    order = fleet.block(ATTACKER, 600.0)
    allow(fleet)
    wait_for(lambda: fleet.queues.messages(agent.queue) == 3, READY)
    agent.start()
    wait_for(lambda: agent.answers(order), READY)
    promise.never_in_force(fleet, order, "lifted", agent)
    assert fleet.manager.thwart("block", ATTACKER).returncode == 1


def test_the_list_alone_is_enough(fleet: Fleet) -> None:
    """An order past the manager, queued behind or before the list: refused with the entry, or lifted at once."""
    agents = behind, before = fleet.start("web1", "web2")
    for agent in agents:
        agent.process.kill()
    order = an_order("past-the-manager", ATTACKER, 600.0, location="all", agents=())
    tell(fleet, behind)
    for agent in agents:
        fleet.orders(agent, order)
    tell(fleet, before)
    for agent in agents:
        agent.start()
    wait_for(lambda: all(agent.answers(order) for agent in agents), READY)
    promise.answered(order, "refused", behind)
    promise.answered(order, "lifted", before)
    assert [agent.kernel.stays(ATTACKER) for agent in agents] == [[], []]


def test_an_agent_is_killed_between_taking_the_list_and_lifting(fleet: Fleet) -> None:
    """What is in force is lifted at its start, and told once; what comes after that is refused."""
    points = (RULED, "reverting", "reverted", "ended")
    agents = fleet.start(*(f"web{number}" for number, _ in enumerate(points, 1)))
    order = fleet.block(timeout=600)
    wait_for(lambda: all(agent.answers(order) for agent in agents), READY)
    for agent, point in zip(agents, points, strict=True):
        agent.process.stop()
        agent.start(stop_at=point)
    fleet.know(*agents)
    since = time.time()
    again = an_order("comes-again", ATTACKER, 600.0, location="all", agents=())
    for agent in agents:
        tell(fleet, agent)
    for agent in agents:
        agent.kill_where_it_stops()
        fleet.orders(agent, again)
        agent.start()
    wait_for(lambda: all(agent.ends(order) and agent.answers(again) for agent in agents), READY)
    for agent in agents:
        promise.in_force_once(agent, order, lifted=(since, time.time()))
        end = promise.the_one(agent.ends(order))
        assert (end.cause, end.outcome) == ("lifted", "reverted")
    promise.answered(again, "refused", *agents)


@pytest.mark.parametrize("point", ["sending order", "sending policy"])
def test_a_manager_is_killed_between_adding_and_telling(fleet: Fleet, point: str) -> None:
    """What is in the ledger goes out at the next start: the lifts, and the list behind them."""
    (agent,) = fleet.start("web1")
    order = fleet.block(timeout=600)
    wait_for(lambda: agent.answers(order), READY)
    fleet.manager.stop()
    fleet.manager.start(stop_at=point)
    fleet.know(agent)
    since = time.time()
    allow(fleet)
    fleet.manager.kill_where_it_stops()
    fleet.manager.start()
    wait_for(lambda: agent.ends(order), READY)
    promise.kept(fleet, order, agent, lifted=(since, time.time()))
    wait_for(lambda: agent.rows("SELECT version FROM policy") == fleet.manager.rows("SELECT version FROM policy"))


def test_a_manager_is_killed_before_it_has_written_down_what_was_added(fleet: Fleet) -> None:
    """Nothing was added and nothing lifted; whoever asks again gets both."""
    (agent,) = fleet.start("web1")
    order = fleet.block(timeout=600)
    wait_for(lambda: agent.answers(order), READY)
    fleet.manager.stop()
    fleet.manager.start(stop_at="deciding")
    with pytest.raises(httpx.HTTPError):
        fleet.manager.call("POST", "/v1/allow", json={"request_id": "asked-twice", "network": OFFICE})
    fleet.manager.kill_where_it_stops()
    fleet.manager.start()
    assert fleet.manager.rows("SELECT network FROM allowed") == []
    assert ATTACKER in agent.kernel.now()
    since = time.time()
    answer = fleet.manager.call("POST", "/v1/allow", json={"request_id": "asked-twice", "network": OFFICE})
    assert [each["lifts"] for each in answer.json()["lifted"]] == [[order.id]]
    wait_for(lambda: agent.ends(order), READY)
    promise.kept(fleet, order, agent, lifted=(since, time.time()))
