"""A host is rebooted: power off in the middle, the firewall empty, another boot id, a wall clock that may be wrong."""

import time
from pathlib import Path

import pytest

from shared.messages import Order
from tests.fault import promise
from tests.fault.a_fleet import Agent, Fleet
from tests.fault.kernel_history import FOREVER
from tests.stage.reboot import rebooted
from tests.stage.wrong_clock import WrongClock
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]

SHORT, LONG = 3.0, 10.0  # s


def test_the_clock_is_right(fleet: Fleet, tmp_path: Path) -> None:
    """What is over ended with the power; the rest is in force again for what is left of it, and ends on time."""
    agent, (short, long, lasting) = _with_blocks(fleet)
    agent.process.kill()
    agent.host.run("nft", "flush", "ruleset")
    wait_for(lambda: time.time() > short.expires_at + promise.LATE)
    agent.wrapper = rebooted(tmp_path)
    agent.start()
    fleet.know(agent)
    left = agent.kernel.now()
    assert short.target not in left
    assert left[long.target] == pytest.approx(long.expires_at - time.time(), abs=1.0)
    assert left[lasting.target] == FOREVER
    promise.over(short, agent)
    promise.over(long, agent)
    assert [end.outcome for order in (short, long) for end in agent.ends(order)] == ["reverted", "reverted"]
    _gone(agent, long, long.expires_at)


def test_the_clock_is_behind(fleet: Fleet, tmp_path: Path) -> None:
    """Time never went back: a block has what it had left when something was written down last, and no more."""
    agent, (_, long, lasting) = _with_blocks(fleet)
    agent.process.kill()
    agent.host.run("nft", "flush", "ruleset")
    clock = WrongClock(tmp_path)
    clock.step(-7_200.0)
    agent.wrapper, agent.environment = rebooted(tmp_path), clock.environment
    began = time.time()
    agent.start()
    wait_for(lambda: {long.target, lasting.target} <= set(agent.kernel.now()), 15)
    assert agent.kernel.now()[long.target] <= LONG
    clock.step(0.0)  # the network sets it
    wait_for(lambda: agent.ends(long), LONG + promise.PATIENCE)
    _gone(agent, long, time.time())
    assert time.time() - began < LONG + promise.PATIENCE
    assert agent.kernel.now() == {lasting.target: FOREVER}


def _with_blocks(fleet: Fleet) -> tuple[Agent, tuple[Order, Order, Order]]:
    """An agent with a short block, a longer one and one without an end, each of them answered."""
    (agent,) = fleet.start("web1")
    orders = (fleet.block("203.0.113.9", SHORT), fleet.block("203.0.113.10", LONG), _until_lifted(fleet))
    for order in orders:
        wait_for(lambda order=order: agent.answers(order))
    return agent, orders


def _until_lifted(fleet: Fleet) -> Order:
    wish = {"request_id": "until-lifted", "address": "203.0.113.11", "location": "all", "timeout": "forever"}
    assert fleet.manager.call("POST", "/v1/blocks", json=wish).is_success
    return fleet.judge.wait(lambda: [order for order in fleet.judge.orders if order.timeout is None], 1, 5.0)[0]


def _gone(agent: Agent, order: Order, by: float) -> None:
    last = agent.kernel.stays(order.target)[-1]
    assert last.until <= by + promise.LATE
