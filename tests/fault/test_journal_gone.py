"""A journal is lost, or an older copy of it put back: no block is lifted, doubled or kept too long by it."""

import shutil

import pytest

from tests.fault import promise
from tests.fault.a_fleet import Agent, Fleet
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
STRANGER, LIFTED, FORGOTTEN, STAYS = "203.0.113.99", "203.0.113.21", "203.0.113.22", "203.0.113.23"


def without_journal(agent: Agent) -> None:
    """The files of one that doesn't run are gone."""
    for path in agent.state.glob("journal.db*"):
        path.unlink()


def test_a_journal_is_deleted(fleet: Fleet) -> None:
    """The block is in the kernel all the time and ends when it should; what no order holds goes once all is sent."""
    (agent,) = fleet.start("web1")
    order = fleet.block(timeout=6)
    wait_for(lambda: agent.answers(order))
    agent.process.kill()
    without_journal(agent)
    agent.host.run("nft", f"add element inet thwart hosts4 {{ {STRANGER} }}")
    agent.start()
    wait_for(lambda: STRANGER not in agent.kernel.now(), 10)
    wait_for(lambda: [each.detail for each in agent.answers(order)] == ["new", "new"])
    promise.over(order, agent)
    promise.in_force_once(agent, order)
    fleet.all_is_said()
    assert promise.the_one(agent.ends(order)).outcome == "reverted"


def test_an_older_copy_of_a_journal_is_put_back(fleet: Fleet) -> None:
    """What it forgot stays in force and is answered again; what it believes and was lifted since is lifted again."""
    (agent,) = fleet.start("web1")
    stays, lifted = fleet.block(STAYS, 600), fleet.block(LIFTED, 600)
    wait_for(lambda: agent.answers(stays) and agent.answers(lifted))
    agent.process.stop()
    shutil.copytree(agent.state, copy := agent.state.with_name("copy"))
    agent.start()
    agent.ready()
    forgotten, delete = fleet.block(FORGOTTEN, 600), fleet.unblock(LIFTED)
    wait_for(lambda: agent.answers(forgotten) and agent.answers(delete))
    agent.process.kill()
    without_journal(agent)
    shutil.copy(copy / "journal.db", agent.state / "journal.db")
    agent.start()
    wait_for(lambda: LIFTED in agent.kernel.now(), 10)
    wait_for(lambda: len(agent.answers(forgotten)) == 2, 30)
    wait_for(lambda: agent.kernel.now().keys() == {STAYS, FORGOTTEN}, 10)
    assert [len(agent.kernel.stays(each)) for each in (STAYS, FORGOTTEN, LIFTED)] == [1, 1, 2]
    assert [(end.cause, end.outcome) for end in agent.ends(lifted)] == [("lifted", "reverted")] * 2
    ends = [fleet.unblock(each) for each in (STAYS, FORGOTTEN)]
    wait_for(lambda: all(agent.answers(each) for each in ends))
    fleet.all_is_said()
    assert agent.kernel.now() == {}
    states = [fleet.manager.states(each) for each in (stays, forgotten, lifted)]
    assert states == [{"web1": "ended"}] * 3
