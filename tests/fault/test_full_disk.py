"""The disk under the journal or the ledger is full: nothing new is taken, blocks still end, work resumes by itself."""

import time

import pytest

from tests.fault import promise
from tests.fault.a_fleet import Fleet
from tests.integration.a_manager_daemon import attack
from tests.stage.guard import Guard
from tests.stage.small_disk import SmallDisk
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]

FIRST, SECOND = "203.0.113.9", "203.0.113.10"


def test_full_under_the_journal(fleet: Fleet, guard: Guard) -> None:
    """An order that can't be written down isn't taken and isn't lost; what is in force ends on time meanwhile."""
    agent = fleet.agent("web1")
    disk = SmallDisk(guard, agent.state)
    agent.start()
    fleet.know(agent)
    before = fleet.block(FIRST, 3)
    wait_for(lambda: agent.answers(before))
    disk.fill()
    during = fleet.block(SECOND, 20)
    wait_for(lambda: "orders can't be taken" in agent.process.last_words(50))
    wait_for(lambda: time.time() > before.expires_at + promise.LATE, 10)
    assert agent.kernel.now() == {}, "the first block has ended, the second can't have begun"
    assert not agent.ends(before), "what can't be written down isn't said either"
    assert fleet.queues.messages(agent.queue), "the broker has it as long as the journal hasn't"
    disk.free()
    wait_for(lambda: agent.answers(during), 10)
    promise.in_force(during, agent)  # lifted at once it might never be seen
    lift = fleet.unblock(SECOND)
    wait_for(lambda: agent.ends(during))
    promise.kept(fleet, before, agent)
    promise.kept(fleet, during, agent, lifted=(lift.issued_at, time.time()))


def test_full_under_the_ledger(idle_fleet: Fleet, guard: Guard) -> None:
    """What can't be written down isn't ordered, acked or forgotten: answers and log lines wait for room."""
    fleet = idle_fleet
    disk = SmallDisk(guard, fleet.manager.folder / "state")
    fleet.manager.start()
    (agent,) = fleet.start("web1")
    before = fleet.block(FIRST, 3)
    wait_for(lambda: fleet.manager.states(before) == {"web1": "applied"})
    disk.fill()
    refused = fleet.manager.call(
        "POST", "/v1/blocks", json={"request_id": "a-full-disk", "address": SECOND, "location": "all"}
    )
    assert refused.status_code == 503, refused.text
    assert "free some space" in refused.text
    fleet.log(attack(source=SECOND))
    promise.over(before, agent)
    assert fleet.manager.states(before) == {"web1": "applied"}, "its end can't be written down"
    assert len(fleet.judge.orders) == 1, "nothing is ordered that isn't written down"
    disk.free()
    _, ordered = fleet.given(2)
    assert ordered.target == SECOND
    promise.over(ordered, agent)
    for order in (before, ordered):
        promise.kept(fleet, order, agent)
