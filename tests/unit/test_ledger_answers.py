"""What agents said, merged into the ledger."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manager.ledger.answers import record
from manager.ledger.unanswered import Unanswered, unanswered
from manager.ledger.views import OrderQuery
from tests.unit.a_manager import MINE, START, a_manager, acknowledgement, expiry, sighting

STATUSES = ["applied", "unchanged", "lifted", "simulated", "refused", "stale", "failed"]


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


async def test_an_order_goes_from_unsent_to_ended(manager):
    """An order is unsent, waiting, applied and ended, as the broker and the agent say so."""
    await manager.hear("web1")
    order = await manager.block()
    assert (await manager.story(order)).view.state == "unsent"
    manager.confirm()
    assert (await manager.story(order)).view.state == "waiting"
    await manager.answer(order, "web1", expires_at=START + 600)
    assert (await manager.story(order)).view.state == "applied"
    await manager.ledger.record([expiry(order.id, "web1", START + 600)])
    assert (await manager.story(order)).view.state == "ended"


async def test_an_end_that_comes_before_its_answer_still_wins(manager):
    """An expiry that overtakes its answer leaves the order ended, with both on record."""
    await manager.hear("web1")
    order = await manager.block()
    await manager.ledger.record([expiry(order.id, "web1", START + 600)])
    await manager.answer(order, "web1", detail="new")
    (agent,) = (await manager.story(order)).view.agents
    assert (agent.state, agent.status, agent.outcome) == ("ended", "applied", "reverted")


async def test_a_repeated_event_is_no_news(manager):
    """An answer that comes twice is recorded once."""
    await manager.hear("web1")
    order = await manager.block()
    said = acknowledgement(order.id, "web1", "applied", START)
    first = await manager.ledger.record([said, said])
    second = await manager.ledger.record([said])
    assert (first.news, second.news) == ((said,), ())
    assert len((await manager.story(order)).history) == 1


async def test_a_stranger_settles_nothing(manager):
    """An answer from an agent that the order isn't for is kept, and changes no state."""
    await manager.hear("web1", "web2")
    order = await manager.block(location="agent", agents=("web1",))
    recorded = await manager.ledger.record([acknowledgement(order.id, "web2", "applied", START)])
    assert recorded.settling == ()
    assert await manager.states(order) == {"web1": "waiting"}
    assert [(each.agent_id, each.expected) for each in (await manager.story(order)).history] == [("web2", False)]


async def test_an_unknown_order_is_kept_as_foreign(manager):
    """Answers to an order that nobody here gave make a foreign row, and no other order is touched."""
    recorded = await manager.ledger.record([acknowledgement("f" * 32, "web1", "applied", START)])
    assert recorded.foreign == ("f" * 32,)
    (view,) = await manager.ledger.orders(OrderQuery())
    assert (view.id, view.order, view.state) == ("f" * 32, None, "applied")
    again = await manager.ledger.record([expiry("f" * 32, "web1", START + 1)])
    assert again.foreign == ()
    assert (await manager.ledger.orders(OrderQuery()))[0].state == "ended"


async def test_an_answer_from_before_a_first_heartbeat_counts(manager):
    """An agent that had an order, and answered, before it was heard of is not asked again for its answer."""
    order = await manager.block()
    await manager.answer(order, "web4")
    assert await manager.states(order) == {}
    await manager.hear("web4")
    assert await manager.states(order) == {"web4": "applied"}


async def test_no_answer_by_the_deadline_is_stale_until_one_comes(manager):
    """What nobody answered is settled as stale after its deadline, and a later answer still wins."""
    await manager.hear("web1")
    order = await manager.block(timeout=60.0)
    manager.clock.passed = 65.0
    assert (await manager.ledger.settle_due()).count == 0, "an answer may still be on its way"
    manager.clock.passed = 71.0
    assert (await manager.ledger.settle_due()).count == 1
    assert await manager.states(order) == {"web1": "stale"}
    await manager.answer(order, "web1", "applied")
    assert await manager.states(order) == {"web1": "applied"}


async def test_who_has_lifted_an_order_is_asked_nothing_more_about_it(manager):
    """An agent that never got it, or has lost its journal with it, will not say how it ended: its lift says so."""
    await manager.hear("web1", "web2")
    order = await manager.block(timeout=None)
    manager.confirm()
    await manager.answer(order, "web1")
    (delete,) = await manager.unblock()
    manager.confirm()
    for agent in ("web1", "web2"):
        await manager.answer(delete, agent, "lifted")
    assert await manager.states(order) == {"web1": "lifted", "web2": "lifted"}
    assert await manager.ledger.blocks() == []
    await manager.ledger.record([expiry(order.id, "web1", START + 1, cause="lifted")])
    assert await manager.states(order) == {"web1": "ended", "web2": "lifted"}
    for passed in (10.0, 20.0, 30.0):
        manager.clock.passed = passed
        await manager.hear("web1", "web2")
    assert manager.outbox() == []


async def test_a_lift_that_fails_ends_nothing(manager):
    """What an agent could not lift is in force there."""
    await manager.hear("web1")
    order = await manager.block(timeout=None)
    manager.confirm()
    await manager.answer(order, "web1")
    (delete,) = await manager.unblock()
    await manager.answer(delete, "web1", "failed")
    assert await manager.states(order) == {"web1": "applied"}


async def test_a_lift_is_not_waited_for_when_the_block_is_over(manager):
    """An agent that is away for the rest of it has nothing to lift any more; an answer that comes yet counts."""
    await manager.hear("web1", "web2")
    await manager.block()
    manager.confirm()
    (delete,) = await manager.unblock()
    manager.confirm()
    manager.clock.passed = 300.0
    await manager.hear("web2", queue="new")
    await manager.hear("web9")
    manager.clock.passed = 611.0
    await manager.ledger.settle_due()
    assert await manager.states(delete) == {"web1": "stale", "web2": "stale", "web9": "stale"}
    await manager.answer(delete, "web1", "lifted")
    assert (await manager.states(delete))["web1"] == "lifted"


async def test_overdue_is_said_of_the_living_alone(manager):
    """An unanswered order is overdue after 10 s on an agent that is living, and waiting on a silent one."""
    await manager.hear("web1", "web2")
    order = await manager.block()
    manager.confirm()
    manager.clock.passed = 5.0
    assert await manager.ledger.unanswered() == Unanswered(overdue=0, oldest=5.0), "it has 10 s"
    manager.clock.passed = 25.0
    await manager.hear("web1")
    later = await manager.block("r2", address="203.0.113.10")
    manager.confirm()
    manager.clock.passed = 34.0
    assert await manager.states(order) == {"web1": "overdue", "web2": "waiting"}
    assert await manager.ledger.unanswered() == Unanswered(overdue=1, oldest=34.0)
    await manager.answer(order, "web1")
    assert await manager.ledger.unanswered() == Unanswered(overdue=0, oldest=34.0), "web2 owes one still"
    await manager.answer(order, "web2")
    assert await manager.ledger.unanswered() == Unanswered(overdue=0, oldest=9.0)
    for agent in ("web1", "web2"):
        await manager.answer(later, agent)
    assert await manager.ledger.unanswered() == Unanswered(overdue=0, oldest=0.0)


async def test_an_order_that_was_never_sent_is_not_overdue(manager):
    """While the broker is away nobody is blamed for not answering."""
    await manager.hear("web1")
    order = await manager.block()
    manager.clock.passed = 20.0
    assert await manager.states(order) == {"web1": "waiting"}
    assert await manager.ledger.unanswered() == Unanswered(overdue=0, oldest=0.0)


async def test_what_is_owed_is_counted_without_going_through_what_is_over(manager):
    """A scrape costs by what is waiting, however much was ordered of how many agents in a month."""
    await manager.hear("web1", "web2")
    await manager.block()
    manager.confirm()
    for number in range(60):
        over = await manager.block(f"over-{number}", address=f"192.0.2.{number}")
        for agent in ("web1", "web2"):
            await manager.answer(over, agent, "failed")
    steps = []

    def count(connection) -> Unanswered:
        connection.set_progress_handler(lambda: steps.append(1), 100)  # instructions of SQLite's
        try:
            return unanswered(connection, START, 10.0, ["web1"])
        finally:
            connection.set_progress_handler(None, 0)

    assert manager.store.run_now(count).oldest == 0.0
    assert len(steps) < 4


def _events(order_id: str) -> st.SearchStrategy:
    agents = st.sampled_from(["web1", "web2", "stranger"])
    times = st.integers(0, 3).map(lambda second: START + second)
    answers = st.builds(acknowledgement, st.just(order_id), agents, st.sampled_from(STATUSES), times)
    ends = st.builds(expiry, st.just(order_id), agents, times, outcome=st.sampled_from(["reverted", "kept", "failed"]))
    return st.lists(st.one_of(answers, ends), max_size=8)


async def test_any_order_of_arrival_gives_the_same_states(tmp_path):
    """Answers and ends, shuffled, doubled and cut into any batches, leave the same states."""
    with a_manager(tmp_path / "ledger.db") as manager:
        await manager.hear("web1", "web2")
        order = await manager.block()
        states = "SELECT agent_id, state, status, settled_at, ended_at, outcome FROM order_agents ORDER BY agent_id"

        def outcome(events: list, cuts: int) -> list[tuple]:
            """The states after `events`, in a transaction that is taken back."""

            def work(connection):
                for start in range(0, len(events), cuts):
                    record(connection, events[start : start + cuts], START)
                rows = [tuple(row) for row in connection.execute(states)]
                connection.execute("ROLLBACK")
                connection.execute("BEGIN")
                return rows

            return manager.store.run_now(work)

        @settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
        @given(_events(order.id), st.randoms(use_true_random=False), st.integers(1, 4))
        def holds(events: list, chance: random.Random, cuts: int) -> None:
            shuffled = events + chance.sample(events, k=len(events) // 2)
            chance.shuffle(shuffled)
            assert outcome(events, max(1, len(events))) == outcome(shuffled, cuts)

        holds()


async def test_what_is_old_is_forgotten_and_what_is_owed_is_kept(manager):
    """Thirty days after its last answer an order is gone; one until lifted stays."""
    await manager.hear("web1")
    gone, kept = await manager.block("r1"), await manager.block("r2", timeout=None)
    manager.clock.passed = 10 * 86_400.0
    await manager.answer(gone, "web1")
    manager.clock.passed = 39 * 86_400.0
    assert await manager.ledger.forget_old() == 0
    manager.clock.passed = 41 * 86_400.0
    assert await manager.ledger.forget_old() == 1
    assert [view.id for view in await manager.ledger.orders(OrderQuery())] == [kept.id]
    rows = manager.store.run_now(lambda c: c.execute("SELECT count(*) FROM history").fetchone()[0])
    assert rows == 0, "its history went with it"


async def test_old_alerts_are_forgotten_however_many_come(manager, monkeypatch):
    """All that are past their time go at each turn, so that a busy fleet's don't pile up."""
    monkeypatch.setattr("manager.ledger.retention.SOME", 2)
    await manager.dispatch.take([sighting(f"a{number}", target=MINE) for number in range(5)])
    manager.clock.passed = 31 * 86_400.0
    await manager.ledger.forget_old()
    assert manager.store.run_now(lambda c: c.execute("SELECT count(*) FROM alerts").fetchone()[0]) == 0


async def test_who_decides_something_does_not_wait_until_everything_old_is_forgotten(manager, monkeypatch):
    """Old orders go a few at a time, and between two times the writer is free for whoever wants it."""
    monkeypatch.setattr("manager.ledger.retention.SOME", 1)
    await manager.hear("web1")
    for number in range(3):
        await manager.block(f"r{number}")
    manager.clock.passed = 41 * 86_400.0
    forgetting = asyncio.ensure_future(manager.ledger.forget_old())
    await asyncio.sleep(0)
    left = await manager.store.run(lambda c: c.execute("SELECT count(*) FROM orders").fetchone()[0])
    assert (left, await forgetting) == (2, 3)


async def test_a_restart_finds_what_was_written(manager):
    """What one run of the manager wrote down is there for the next one."""
    await manager.hear("web1")
    order = await manager.block()
    with a_manager(manager.store.path) as next_run:
        assert await next_run.states(order) == {"web1": "waiting"}
        assert [agent.id for agent in next_run.roster.agents()] == ["web1"]


async def test_an_order_is_closed_by_the_last_word_on_it(manager):
    """An order is closed once, when nothing more is to be heard of it from any agent."""
    await manager.hear("web1", "web2")
    order = await manager.block()
    manager.confirm()
    now = manager.clock.wall()
    first = await manager.ledger.record([acknowledgement(order.id, "web1", "applied", now)])
    second = await manager.ledger.record([acknowledgement(order.id, "web2", "failed", now)])
    assert (first.closed, second.closed) == ((), ())
    end = expiry(order.id, "web1", now + 1)
    last = await manager.ledger.record([end])
    assert [(each.order_id, each.states) for each in last.closed] == [(order.id, {"ended": 1, "failed": 1})]
    assert (await manager.ledger.record([end])).closed == ()


async def test_an_order_that_nobody_answers_is_closed_by_its_deadline(manager):
    """What lapses is closed too."""
    await manager.hear("web1")
    order = await manager.block(timeout=60.0)
    manager.confirm()
    manager.clock.passed = 100.0
    lapsed = await manager.ledger.settle_due()
    assert [(each.order_id, each.states) for each in lapsed.closed] == [(order.id, {"stale": 1})]


async def test_what_lapses_does_so_some_at_a_time(manager, monkeypatch):
    """All of it in the end, each order closed once, and between two times the writer is free for whoever wants it."""
    monkeypatch.setattr("manager.ledger.answers.SOME", 1)
    await manager.hear("web1", "web2")
    order = await manager.block(timeout=60.0)
    manager.clock.passed = 100.0
    settling = asyncio.ensure_future(manager.ledger.settle_due())
    await asyncio.sleep(0)
    waiting = "SELECT count(*) FROM order_agents WHERE state = 'waiting'"
    assert await manager.store.run(lambda c: c.execute(waiting).fetchone()[0]) == 1
    lapsed = await settling
    assert (lapsed.count, [(each.order_id, each.states) for each in lapsed.closed]) == (2, [(order.id, {"stale": 2})])
