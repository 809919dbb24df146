"""An agent that lacks something is sent it, once and not again and again."""

import pytest

from shared.errors import StoreError
from shared.ids import fingerprint
from shared.messages import Holds
from tests.unit.a_manager import START, a_manager, expiry, heartbeat


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


async def _in_force(manager, agent: str = "web1", **wish: object):
    order = await manager.block(**wish)
    manager.confirm()
    await manager.answer(order, agent)
    return order


async def test_a_new_agent_gets_what_is_in_force_for_all(manager):
    """A fourth agent is expected to hold an earlier `all` block, and is sent it under the same id and end."""
    await manager.hear("web1", "web2", "web3")
    order = await _in_force(manager)
    manager.clock.passed = 60.0
    await manager.hear("web4")
    assert manager.confirm() == [("agent.web4", order)]
    assert (await manager.states(order))["web4"] == "waiting"


async def test_a_new_agent_gets_nothing_that_is_not_for_it(manager):
    """What is for others, for servers, over, dry or lifted is not sent to a new agent."""
    await manager.hear("web1")
    await manager.block("r1", location="agent", agents=("web1",))
    await manager.block("r2", location="server")
    await manager.block("r3", timeout=30.0)
    dry = await manager.block("r4", dry_run=True)
    manager.confirm()
    manager.clock.passed = 60.0
    await manager.hear("web4")
    assert manager.outbox() == []
    assert "web4" not in await manager.states(dry)


async def test_a_new_agent_gets_lifts_before_blocks(manager):
    """A lift that still matters comes first, so that what it ended can't come back from a queue."""
    await manager.hear("web1")
    lifted = await manager.block("r1")
    (delete,) = await manager.unblock()
    block = await manager.block("r2", address="203.0.113.10")
    manager.confirm()
    await manager.hear("web4")
    assert [order.id for _, order in manager.confirm()] == [delete.id, block.id]
    assert "web4" not in await manager.states(lifted)


async def test_a_server_that_joins_gets_what_is_for_servers(manager):
    """A `server` order in force reaches a server that comes later."""
    order = await manager.block(location="server")
    manager.confirm()
    await manager.hear("manager1", roles=("server",))
    assert manager.confirm() == [("agent.manager1", order)]


async def test_an_order_for_a_name_waits_for_its_bearer(manager, tmp_path):
    """What was unroutable when it was given is sent when the agent comes."""
    await manager.hear("web1", "web2")
    order = await manager.block(location="agent", agents=("web1", "web2"))
    manager.store.run_now(lambda c: c.execute("UPDATE order_agents SET state = 'unroutable' WHERE agent_id = 'web2'"))
    manager.store.run_now(lambda c: c.execute("DELETE FROM agents WHERE id = 'web2'"))
    manager.confirm()
    with a_manager(manager.store.path) as next_run:
        await next_run.hear("web2")
        assert next_run.confirm() == [("agent.web2", order)]
        assert (await next_run.states(order))["web2"] == "waiting"


@pytest.mark.parametrize("loss", [{"journal": "another"}, {"queue": "new"}])
async def test_a_lost_journal_or_queue_is_made_good(manager, loss):
    """An agent with another journal, or a queue that it had to make anew, is sent what it should hold."""
    await manager.hear("web1")
    order = await _in_force(manager)
    manager.clock.passed = 10.0
    await manager.hear("web1", **loss)
    assert manager.confirm() == [("agent.web1", order)]
    manager.clock.passed = 20.0
    await manager.hear("web1", **({} if "queue" in loss else loss), holds=(order.id,))
    assert manager.outbox() == []


async def test_a_fingerprint_must_differ_twice(manager):
    """One wrong fingerprint may be an answer on its way; the second in a row brings the order again."""
    await manager.hear("web1")
    order = await _in_force(manager)
    manager.clock.passed = 10.0
    await manager.hear("web1")
    assert manager.outbox() == []
    manager.clock.passed = 20.0
    await manager.hear("web1")
    assert manager.confirm() == [("agent.web1", order)]


async def test_an_agent_that_stays_wrong_is_sent_to_less_often(manager):
    """Ten minutes of wrong fingerprints bring a handful of catch-ups, not sixty."""
    await manager.hear("web1")
    await _in_force(manager, timeout=None)
    times = 0
    for beat in range(1, 61):
        manager.clock.passed = 10.0 * beat
        await manager.hear("web1")
        times += len(manager.confirm())
    assert 3 <= times <= 7


async def test_a_right_fingerprint_is_not_counted_again(manager, monkeypatch):
    """An agent that holds what it should costs no query, until one of its orders comes near its end."""
    await manager.hear("web1")
    order = await _in_force(manager, timeout=300.0)
    manager.clock.passed = 10.0
    await manager.hear("web1", holds=(order.id,))
    monkeypatch.setattr(manager.store, "run", None)
    monkeypatch.setattr(manager.store, "read", None)
    for passed in (20.0, 239.0):
        manager.clock.passed = passed
        await manager.hear("web1", holds=(order.id,))
    monkeypatch.undo()
    manager.clock.passed = 241.0
    await manager.hear("web1")
    manager.clock.passed = 251.0
    await manager.hear("web1")
    assert manager.outbox() == [], "what ends within a minute is in nobody's fingerprint"


async def test_an_agreement_ends_with_the_first_order_in_it(manager):
    """An agent that goes on naming an order past its end is noticed."""
    await manager.hear("web1")
    order = await _in_force(manager, timeout=300.0)
    lasting = await _in_force(manager, request_id="r2", address="203.0.113.10", timeout=None)
    for passed in (10.0, 250.0):
        manager.clock.passed = passed
        await manager.hear("web1", holds=(order.id, lasting.id))
        assert manager.outbox() == []
    manager.clock.passed = 260.0
    await manager.hear("web1", holds=(order.id, lasting.id))
    assert [sent.id for _, sent in manager.confirm()] == [order.id, lasting.id]


async def test_an_answer_that_the_fingerprint_belies_is_noticed(manager):
    """An order that was answered as applied, and is in no fingerprint after it, is sent again."""
    await manager.hear("web1")
    first = await _in_force(manager)
    manager.clock.passed = 10.0
    await manager.hear("web1", holds=(first.id,))
    second = await _in_force(manager, request_id="r2", address="203.0.113.10")
    for passed in (20.0, 30.0):
        manager.clock.passed = passed
        await manager.hear("web1", holds=(first.id,))
    assert second.id in [order.id for _, order in manager.confirm()]


async def test_an_answer_undoes_a_comparison_that_it_overtakes(manager, monkeypatch):
    """A fingerprint that was right before the answer is no agreement after it, whichever is done first."""
    await manager.hear("web1")
    order = await manager.block()
    manager.confirm()
    read = manager.store.read

    async def slowly(work):
        seen = await read(work)
        await manager.answer(order, "web1")
        return seen

    manager.clock.passed = 10.0
    monkeypatch.setattr(manager.store, "read", slowly)
    await manager.hear("web1")
    monkeypatch.undo()
    for passed in (20.0, 30.0):
        manager.clock.passed = passed
        await manager.hear("web1")
    assert manager.confirm() == [("agent.web1", order)]


async def test_an_answer_makes_a_fingerprint_new(manager):
    """After an end the fingerprint is compared anew."""
    await manager.hear("web1")
    order = await _in_force(manager, timeout=300.0)
    manager.clock.passed = 10.0
    await manager.hear("web1", holds=(order.id,))
    manager.catch_up.recorded(await manager.ledger.record([expiry(order.id, "web1", START + 11, cause="lifted")]))
    for passed in (20.0, 30.0):
        manager.clock.passed = passed
        await manager.hear("web1")
    assert manager.outbox() == []


async def test_a_living_agent_is_reminded_of_what_it_left_unanswered(manager):
    """An order unanswered for 10 s goes again to a living agent, and not to a silent one."""
    await manager.hear("web1", "web2")
    order = await manager.block()
    manager.confirm()
    manager.clock.passed = 25.0
    await manager.hear("web1")
    manager.clock.passed = 35.0
    await manager.catch_up.tick()
    assert manager.confirm() == [("agent.web1", order)]
    manager.clock.passed = 36.0
    await manager.catch_up.tick()
    assert manager.outbox() == []


async def test_a_living_agent_is_asked_for_an_end_that_it_has_not_told(manager):
    """A block that should have ended 10 s ago goes again, to be told its end; the broker keeps it for a while."""
    await manager.hear("web1")
    order = await _in_force(manager, timeout=30.0)
    manager.clock.passed = 39.0
    await manager.hear("web1")
    await manager.catch_up.tick()
    assert manager.outbox() == []
    manager.clock.passed = 41.0
    await manager.catch_up.tick()
    assert [each.expires_at for each in manager.outbox()] == [START + 41.0 + 60.0]
    assert manager.confirm() == [("agent.web1", order)]
    await manager.ledger.record([expiry(order.id, "web1", START + 30.0)])
    manager.clock.passed = 60.0
    await manager.hear("web1")
    await manager.catch_up.tick()
    assert manager.outbox() == []


async def test_nobody_is_reminded_of_what_was_just_sent(manager):
    """The 10 s to answer begin when the broker has the order, not when it was decided."""
    await manager.hear("web1")
    await manager.block()
    manager.clock.passed = 20.0
    manager.confirm()
    await manager.catch_up.tick()
    assert manager.outbox() == []


async def test_what_is_lifted_does_not_come_back(manager):
    """An agent with a new journal gets the `delete`, and not the block that it ended."""
    await manager.hear("web1")
    await _in_force(manager)
    (delete,) = await manager.unblock()
    manager.confirm()
    manager.clock.passed = 10.0
    await manager.hear("web1", journal="another")
    assert [order.id for _, order in manager.confirm()] == [delete.id]


async def test_an_unsent_order_is_not_piled_up(manager):
    """While the broker confirms nothing, nothing is put beside what is unsent already."""
    await manager.hear("web1")
    await manager.block()
    manager.clock.passed = 20.0
    await manager.catch_up.tick()
    assert len(manager.outbox()) == 1


async def test_what_has_no_end_is_sent_with_a_new_deadline(manager):
    """An order until lifted, sent again after 31 days, has thirty days more to start; its id and end stay."""
    await manager.hear("web1")
    order = await _in_force(manager, timeout=None)
    manager.clock.passed = 31 * 86_400.0
    await manager.hear("web4")
    ((_, again),) = manager.confirm()
    assert (again.id, again.expires_at, again.deadline) == (order.id, None, manager.clock.wall() + 30 * 86_400)
    assert (await manager.ledger.settle_due()).count == 0


async def test_catch_ups_of_one_agent_are_a_second_apart(manager):
    """A link that flaps brings one catch-up a second, and what was put off is not forgotten."""
    await manager.hear("web1")
    await _in_force(manager)
    manager.clock.passed = 10.0
    await manager.hear("web1", queue="new")
    manager.clock.passed = 10.5
    await manager.hear("web1", queue="new")
    assert len(manager.confirm()) == 1
    manager.clock.passed = 11.1
    await manager.catch_up.tick()
    assert len(manager.confirm()) == 1


async def test_a_failed_commit_loses_no_newcomer(manager, monkeypatch):
    """An agent whose first heartbeat could not be written down is written down with the next."""
    order = await manager.block()
    manager.confirm()

    async def full(work):
        raise StoreError("disk full")

    monkeypatch.setattr(manager.store, "run", full)
    with pytest.raises(StoreError):
        await manager.hear("web1")
    monkeypatch.undo()
    manager.clock.passed = 10.0
    await manager.hear("web1")
    assert manager.confirm() == [("agent.web1", order)]


async def test_a_whole_fleet_is_caught_up_in_turns(manager, monkeypatch):
    """One transaction sends so much; who is left comes in the next turns, newcomers and those to be reminded alike."""
    monkeypatch.setattr("manager.catchup.ENOUGH", 1)
    fleet = ("web1", "web2", "web3")
    await manager.block()
    manager.confirm()
    await manager.hear(*fleet)
    assert len(manager.confirm()) == 1
    await manager.catch_up.tick()
    await manager.catch_up.tick()
    assert len(manager.confirm()) == 2
    manager.clock.passed = 11.0
    reminded = []
    for _ in range(4):
        await manager.catch_up.tick()
        reminded.append(tuple(key for key, _ in manager.confirm()))
    assert sorted(reminded) == [(), *((f"agent.{each}",) for each in fleet)]


def test_the_empty_fingerprint_is_the_agents_too():
    """An agent that holds nothing says so in the form that the ledger computes."""
    assert heartbeat("web1").holds == Holds(count=0, xor=fingerprint(()))
