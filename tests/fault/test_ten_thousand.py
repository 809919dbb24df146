"""Ten thousand orders were queued while an agent was away: each is carried out once, in seconds, in a bounded space."""

import time
from pathlib import Path

import pytest

from shared.messages import Acknowledgement
from tests.fault.a_fleet import Agent, Fleet
from tests.integration.an_agent import an_order
from tests.stage.auth_log import address
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
COUNT = 10_000
AT_MOST = 60.0  # s, on a machine that is busy with other things
LARGEST = 120.0  # MB that the agent may ever have had


def test_ten_thousand_orders_were_queued(fleet: Fleet) -> None:
    """All are in force, answered once, and nothing is set aside; the manager has heard of every one."""
    (agent,) = fleet.start("web1")
    agent.process.kill()
    agent.kernel.close()  # to list them all many times a second would cost more than to apply them
    orders = [an_order(f"flood-{number}", address(number), 3_600) for number in range(COUNT)]
    fleet.orders(agent, *orders)
    assert fleet.queues.messages(agent.queue) >= COUNT
    began = time.monotonic()
    agent.start()
    wait_for(lambda: len(answers(fleet)) >= COUNT, AT_MOST)
    print(f"{COUNT} orders in {time.monotonic() - began:.1f} s and {largest(agent):.0f} MB")
    assert largest(agent) < LARGEST
    assert agent.kernel.now().keys() == {order.target for order in orders}
    wait_for(lambda: not agent.rows("SELECT seq FROM outbox"), AT_MOST)
    fleet.queues.empty(agent.queue)
    given = {repr(said): said for said in answers(fleet)}.values()  # said twice where the manager has sent it twice
    assert sorted(said.order_id for said in given) == sorted(order.id for order in orders)
    assert {(said.status, said.detail) for said in given} == {("applied", "new")}
    states = "SELECT state, count(*) FROM order_agents GROUP BY state"
    wait_for(lambda: fleet.manager.rows(states) == [("applied", COUNT)], AT_MOST)


def answers(fleet: Fleet) -> list[Acknowledgement]:
    """Every message that came."""
    return fleet.judge.heard(Acknowledgement)


def largest(agent: Agent) -> float:
    """The most that its process ever had in memory, in MB."""
    status = Path(f"/proc/{agent.process.pid}/status").read_text().splitlines()
    (peak,) = [line for line in status if line.startswith("VmHWM:")]
    return int(peak.split()[1]) / 1024
