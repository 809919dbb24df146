"""A state folder was copied: two hosts run an agent with one id and one journal, and the second takes no orders."""

import shutil

import pytest

from tests.fault.a_fleet import READY, Agent, Fleet
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
BEATS = 30.0  # s: who says in two heartbeats running that it holds something else is corrected
COPIED, LIFTED, LATER = "203.0.113.10", "203.0.113.11", "203.0.113.12"


def test_a_state_folder_is_copied_to_another_host(fleet: Fleet) -> None:
    """The copy keeps what its journal says in force, says why it takes no orders, and has them once it is alone.

    What was lifted or ordered since the copy was made is put right then.
    """
    (first,) = fleet.start("web1")
    copied, lifted = fleet.block(COPIED, 600), fleet.block(LIFTED, 600)
    wait_for(lambda: first.answers(copied) and first.answers(lifted))
    second = copy(fleet, first)
    lift = fleet.unblock(LIFTED)
    later = fleet.block(LATER, 600)
    wait_for(lambda: first.answers(lift) and first.answers(later))
    second.start()
    wait_for(lambda: says_so(second), READY)
    assert second.kernel.now().keys() == {COPIED, LIFTED}
    assert first.kernel.now().keys() == {COPIED, LATER}
    only = fleet.block("203.0.113.13", 600)
    wait_for(lambda: first.answers(only))
    assert only.target not in second.kernel.now()
    first.process.stop()
    wait_for(lambda: second.kernel.now().keys() == {COPIED, LATER, only.target}, BEATS)
    for order in (copied, later, only):
        fleet.unblock(order.target)
    wait_for(lambda: not second.kernel.now(), READY)
    wait_for(lambda: all(fleet.manager.states(order) == {"web1": "ended"} for order in (copied, later, only)))


def copy(fleet: Fleet, first: Agent) -> Agent:
    """A second host with the first one's state, as when a machine is cloned."""
    first.process.stop()
    second = fleet.agent("web2")
    shutil.copytree(first.state, second.state)
    second.environment = {"THWART_AGENT_ID": first.name, "THWART_BROKER_URLS": f"{fleet.broker.url}?heartbeat=1"}
    first.start()
    fleet.know(first)
    return second


def says_so(agent: Agent) -> bool:
    """True when its log has told the operator."""
    return "another host is running an agent with the id web1" in agent.process.last_words(50)
