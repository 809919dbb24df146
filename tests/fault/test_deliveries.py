"""Orders that come twice, late, out of order, or are none at all; and two that hold one address."""

import time
from collections import Counter

import msgpack
import pytest
from msgspec.structs import replace

from shared import codec
from shared.messages import Acknowledgement
from tests.fault import promise
from tests.fault.a_fleet import Fleet
from tests.integration.an_agent import a_delete, an_order
from tests.stage.auth_log import address
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]
GOOD = "203.0.113.10"


def test_the_same_order_comes_again_and_again(fleet: Fleet) -> None:
    """At once, after a crash, and after its end: it takes effect once, and gets the same answer each time."""
    (agent,) = fleet.start("web1")
    order = fleet.block()
    fleet.orders(agent, order, order)
    wait_for(lambda: len(agent.answers(order)) == 3)
    # acked and confirmed, else the crash alone would bring the orders or the answers again
    fleet.queues.empty(agent.queue)
    wait_for(lambda: not agent.rows("SELECT seq FROM outbox"))
    agent.process.kill()
    fleet.orders(agent, order)
    agent.start()
    wait_for(lambda: len(agent.answers(order)) == 4)
    promise.over(order, agent)
    fleet.orders(agent, order)
    wait_for(lambda: len(agent.answers(order)) == 5 and len(agent.ends(order)) >= 2)
    promise.kept(fleet, order, agent)


def test_a_delete_overtakes_its_add(fleet: Fleet) -> None:
    """An `add` that comes after the `delete` that names it is answered `lifted` and never in force.

    In the same batch, in a later one, and after a crash in between.
    """
    agents = fleet.start("web1", "web2", "web3")
    together, later, crashed = agents
    for agent in agents:
        agent.process.kill()
    order = fleet.block(timeout=60)
    assert fleet.take_away(*agents) == [order] * 3
    lift = fleet.unblock()
    wait_for(lambda: all(fleet.queues.messages(agent.queue) == 1 for agent in agents))
    fleet.orders(together, order)
    for agent in agents:
        agent.start()
    wait_for(lambda: all(agent.answers(lift) for agent in agents))
    crashed.process.kill()
    crashed.start()
    fleet.orders(later, order)
    fleet.orders(crashed, order)
    wait_for(lambda: all(agent.answers(order) for agent in agents))
    promise.never_in_force(fleet, order, "lifted", *agents)
    promise.answered(lift, "lifted", *agents)
    promise.written_down(fleet, lift, dict.fromkeys(agents, "lifted"))


def test_an_order_comes_after_its_deadline(fleet: Fleet) -> None:
    """It is answered `stale` and changes nothing; so is one that is over, or will be within a second."""
    (agent,) = fleet.start("web1")
    now = time.time()
    late = replace(an_order("late", timeout=3600), deadline=now - 0.1)
    over = an_order("over", issued_at=now - 10, expires_at=now - 1, deadline=now + 60)
    brief = an_order("brief", issued_at=now - 10, expires_at=now + 0.9, deadline=now + 60)
    fleet.orders(agent, late, over, brief)
    for order in (late, over, brief):
        wait_for(lambda order=order: agent.answers(order))
        promise.never_in_force(fleet, order, "stale", agent)


def test_an_agent_comes_back_after_the_deadline(idle_fleet: Fleet) -> None:
    """The broker drops what is too late, the ledger settles it without an answer, and no host is changed."""
    fleet = idle_fleet
    fleet.manager.environment["THWART_MANAGER_ANSWER_WITHIN"] = "1"
    fleet.manager.start()
    (agent,) = fleet.start("web1")
    agent.process.kill()
    order = fleet.block(timeout=1.5)
    wait_for(lambda: time.time() > order.deadline)
    agent.start()
    fleet.know(agent)
    wait_for(lambda: fleet.manager.states(order) == {"web1": "stale"}, promise.PATIENCE)
    fleet.all_is_said()
    assert (agent.answers(order), agent.kernel.stays(order.target)) == ([], [])


def test_an_agent_was_away_for_half_of_the_time(fleet: Fleet) -> None:
    """It gets the time that is left, and the block ends everywhere at once."""
    agents = here, away = fleet.start("web1", "web2")
    away.process.kill()
    order = fleet.block(timeout=8)
    half = order.issued_at + 4
    wait_for(lambda: time.time() > half)
    away.start()
    promise.over(order, *agents)
    promise.kept(fleet, order, *agents)
    assert [stay.since > half for agent in (here, away) for stay in agent.kernel.stays(order.target)] == [False, True]


def test_poison_stops_nobody(fleet: Fleet) -> None:
    """What is no order is set aside with its reason, answered where it has an id, and the next one is carried out."""
    (agent,) = fleet.start("web1")
    whole = {"id": "unreadable", "v": 1, "operation": "add"}
    newer = codec.encode(replace(an_order("newer"), v=2))
    foreign = codec.encode(an_order("elsewhere", agents=("web2",)))
    plain = (b"", b"\xc1 no MessagePack", msgpack.packb([1, 2]), b"x" * (codec.MAX_BODY + 1))
    fleet.raw(agent, *plain, msgpack.packb(whole), newer, foreign)
    order = fleet.block(GOOD, 2)
    promise.over(order, agent)
    promise.kept(fleet, order, agent)
    assert [promise.the_one(agent.answers(each)).status for each in ("unreadable", "newer")] == ["refused"] * 2
    # what is no order at all is set aside by the manager too, which sees whatever is ordered
    wait_for(lambda: dead_letters(fleet) == {"malformed": 5 + 4, "unsupported-version": 2, "too-large": 2})


def test_one_of_a_thousand_can_not_be_carried_out(fleet: Fleet) -> None:
    """The kernel refuses one of a batch: its order is answered `failed` with the reason, 999 are in force."""
    (agent,) = fleet.start("web1")
    agent.process.kill()
    orders = [an_order(f"many-{number}", address(number)) for number in range(1_000)]
    culprit = orders[667]
    fleet.orders(agent, *orders)
    agent.refused = [culprit.target]
    agent.start()
    wait_for(lambda: all(agent.answers(order) for order in (orders[0], orders[-1], culprit)), promise.PATIENCE)
    wait_for(lambda: len({said.order_id for said in fleet.judge.heard(Acknowledgement)}) == len(orders))
    assert agent.kernel.now().keys() == {order.target for order in orders} - {culprit.target}
    statuses = Counter(promise.the_one(agent.answers(order)).status for order in orders)
    assert statuses == {"applied": 999, "failed": 1}
    failed = promise.the_one(agent.answers(culprit))
    assert (failed.status, failed.detail) != ("failed", "")
    wait_for(lambda: fleet.manager.states(culprit) == {"web1": "failed"})


def test_one_of_two_holders_is_lifted(fleet: Fleet) -> None:
    """The address stays blocked until the other one's end, which is earlier; also where the agent is killed over it."""
    agents = killed, _ = fleet.start("web1", "web2")
    long = fleet.block(timeout=60)
    wait_for(lambda: all(agent.answers(long) for agent in agents))
    short = fleet.block(timeout=10)
    wait_for(lambda: all(agent.answers(short) for agent in agents))
    killed.process.stop()
    killed.start(stop_at="taken")
    fleet.know(killed)
    lift = a_delete("lift-one", long.id, location="all", agents=())
    for agent in agents:
        fleet.orders(agent, lift)
    killed.kill_where_it_stops()
    killed.start()
    wait_for(lambda: all(agent.ends(long) for agent in agents))
    assert all(agent.kernel.now()[short.target] <= 10 for agent in agents)  # also if the agent is dead by then
    promise.over(short, *agents)
    fleet.all_is_said()
    promise.answered(long, "applied", *agents)
    promise.answered(short, "unchanged", *agents)
    promise.answered(lift, "lifted", *agents)
    for agent in agents:
        promise.in_force_once(agent, short, longest=long.expires_at)
        ends = [promise.the_one(agent.ends(order)) for order in (long, short)]
        assert [(end.cause, end.outcome) for end in ends] == [("lifted", "kept"), ("timeout", "reverted")]
    for order in (long, short):
        promise.written_down(fleet, order, dict.fromkeys(agents, "ended"))


def dead_letters(fleet: Fleet) -> dict[str, float]:
    """How many there are, by reason."""
    return {
        reason: fleet.manager.metric(f'thwart_dead_letters_total{{reason="{reason}"}}')
        for reason in ("malformed", "unsupported-version", "too-large")
    }
