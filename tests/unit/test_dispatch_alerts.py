"""Alerts become orders in one transaction, together with how far their log was taken."""

from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from manager.broadcast import Broadcast
from manager.chronicle import Chronicle
from manager.ledger import positions
from manager.ledger.positions import Position
from manager.metrics import Metrics
from manager.responses.verdict import Judge, Verdict
from shared.errors import StoreError
from tests.unit.a_manager import ATTACKER, MINE, START, a_manager, blocks_everywhere, sighting


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


def _at(offset: int) -> Position:
    return Position(agent_id="web1", source="/var/log/auth.log", file="1:2", offset=offset)


async def test_an_alert_its_order_and_its_position_are_written_together(manager):
    """After a batch the ledger holds the alert, the order, its messages and the position of the last line."""
    await manager.hear("web1", "web2")
    (taken,) = await manager.dispatch.take([sighting("a1")], [_at(4711)])
    (order,) = taken.orders
    story = await manager.story(order)
    assert story.alert == sighting("a1").alert
    assert story.view.origin == "a1"
    assert await manager.states(order) == {"web1": "waiting", "web2": "waiting"}
    assert [row.message_id for row in manager.outbox()] == [order.id]
    assert manager.store.run_now(positions.load) == [_at(4711)]
    assert manager.woken == 1


async def test_a_batch_is_written_whole_or_not_at_all(manager, monkeypatch):
    """When the last alert of a batch fails, neither the first one's order nor the position is there."""
    judge = manager.dispatch._judge

    def fails_on_the_last(one, members, standing, now) -> Verdict:
        if one.alert.id == "a2":
            raise StoreError("disk full")
        return judge(one, members, standing, now)

    monkeypatch.setattr(manager.dispatch, "_judge", fails_on_the_last)
    with pytest.raises(StoreError):
        await manager.dispatch.take([sighting("a1"), sighting("a2", target="203.0.113.10")], [_at(1)])
    assert (manager.outbox(), manager.store.run_now(positions.load)) == ([], [])
    monkeypatch.undo()
    (taken,) = await manager.dispatch.take([sighting("a1")], [_at(1)])
    assert not taken.repeated


async def test_alerts_of_one_batch_see_each_other(manager):
    """Two alerts about one attacker in one batch make one order."""
    await manager.hear("web1")
    first, second = await manager.dispatch.take([sighting("a1"), sighting("a2", START + 1)])
    assert (len(first.orders), second.orders) == (1, ())


async def test_an_agent_that_nobody_goes_by_is_warned_of(tmp_path):
    """Who leaves the example's <agent_id> in the file is told so when a response names it, with the order's id."""
    with a_manager(tmp_path / "ledger.db", _blocks_on("web1", "agent-xxx")) as manager:
        await manager.hear("web1")
        taken = await manager.dispatch.take([sighting("a1")])
        with capture_logs() as said:
            Chronicle(Metrics(), manager.clock, Broadcast(manager.clock)).taken(taken)
    (warning,) = (each for each in said if each["log_level"] == "warning")
    assert (warning["agents"], warning["order_ids"]) == (("agent-xxx",), [taken[0].orders[0].id])


async def test_an_alert_is_counted_by_its_rule_and_its_orders_by_offence(manager):
    """Once, however often the broker brings it."""
    metrics = Metrics()
    await manager.hear("web1")
    chronicle = Chronicle(metrics, manager.clock, Broadcast(manager.clock))
    for _ in range(2):
        chronicle.taken(await manager.dispatch.take([sighting("a1")]))
    rule = sighting("a1").alert.rule.id
    assert metrics.registry.get_sample_value("thwart_rule_alerts_total", {"rule": rule}) == 1
    assert metrics.registry.get_sample_value("thwart_offences_total", {"offence": "1"}) == 1


def _blocks_on(*agents: str) -> Judge:
    def judge(*known: Any) -> Verdict:
        verdict = blocks_everywhere(*known)
        orders = tuple(replace(order, location="agent", agents=agents) for order in verdict.orders)
        return replace(verdict, orders=orders)

    return judge


async def test_a_repeated_alert_uses_what_is_stored(manager):
    """A batch that is delivered again makes no second order, also when it would be decided otherwise by now."""
    await manager.hear("web1")
    (first,) = await manager.dispatch.take([sighting("a1")])
    manager.confirm()
    manager.clock.passed = 300.0
    (again,) = await manager.dispatch.take([sighting("a1")])
    assert (again.repeated, again.orders) == (True, first.orders)
    assert (manager.outbox(), manager.woken) == ([], 1)


async def test_an_old_alert_is_recorded_and_orders_nothing(manager):
    """An alert older than ten minutes is late."""
    manager.clock.passed = 600.1
    (taken,) = await manager.dispatch.take([sighting("a1", START)])
    assert (taken.late, taken.orders, manager.outbox()) == (True, (), [])


async def test_an_offence_outlives_a_restart(manager):
    """The second offence is longer though the manager was restarted between the two."""
    await manager.hear("web1")
    (first,) = await manager.dispatch.take([sighting("a1")])
    assert first.orders[0].timeout == 60.0
    with a_manager(manager.store.path) as next_run:
        next_run.clock.passed = 61.0
        (second,) = await next_run.dispatch.take([sighting("a2", START + 61)])
        assert (second.orders[0].offence, second.orders[0].timeout) == (2, 120.0)


@pytest.mark.parametrize(
    ("status", "passed", "again"),
    [("applied", 30.0, False), ("unchanged", 30.0, False), ("failed", 1.0, True), ("refused", 1.0, True)],
)
async def test_only_what_is_in_force_counts_as_in_force(manager, status, passed, again):
    """An order that an agent refused or failed at is given again with the next alert, under the same offence."""
    await manager.hear("web1")
    (first,) = await manager.dispatch.take([sighting("a1")])
    await manager.answer(first.orders[0], "web1", status)
    manager.clock.passed = passed
    (second,) = await manager.dispatch.take([sighting("a2", START + passed)])
    assert [order.offence for order in second.orders] == ([1] if again else [])


async def test_an_unanswered_order_counts_for_ten_seconds(manager):
    """An order without an answer holds back the next one while its answer may still come, and no longer."""
    await manager.hear("web1")
    await manager.dispatch.take([sighting("a1")])
    manager.clock.passed = 9.0
    (second,) = await manager.dispatch.take([sighting("a2", START + 9)])
    manager.clock.passed = 11.0
    (third,) = await manager.dispatch.take([sighting("a3", START + 11)])
    assert (len(second.orders), len(third.orders)) == (0, 1)


async def test_after_an_unblock_the_next_alert_is_a_new_offence(manager):
    """A lifted block is over: what comes after it is the next offence, and is blocked again."""
    await manager.hear("web1")
    (first,) = await manager.dispatch.take([sighting("a1")])
    await manager.answer(first.orders[0], "web1")
    manager.clock.passed = 5.0
    await manager.unblock()
    (second,) = await manager.dispatch.take([sighting("a2", START + 6)])
    assert second.orders[0].offence == 2


async def test_a_refusal_is_written_down(manager):
    """What was not acted on because it is protected is in the ledger with the reason."""
    (taken,) = await manager.dispatch.take([sighting("a1", target=MINE)])
    assert [refusal.reason for refusal in taken.refusals] == ["protected"]
    row = manager.store.run_now(lambda c: c.execute("SELECT alert_id, target, reason, detail FROM refusals").fetchone())
    assert tuple(row) == ("a1", MINE, "protected", "on the list")


async def test_a_position_never_moves_back(manager):
    """A batch that comes late leaves the position where it is; a new file has one of its own."""
    other = replace(_at(7), file="1:3")
    await manager.dispatch.take([], [_at(100)])
    await manager.dispatch.take([], [_at(50)])
    assert manager.store.run_now(positions.load) == [_at(100)]
    await manager.dispatch.take([], [other])
    assert set(manager.store.run_now(positions.load)) == {_at(100), other}


async def test_an_offence_is_forgotten_a_day_after_its_block(manager):
    """Offences of long ago don't count."""
    await manager.hear("web1")
    await manager.dispatch.take([sighting("a1")])
    manager.clock.passed = 86_400.0 + 59.0
    await manager.ledger.forget_old()
    (known,) = await manager.dispatch.take([sighting("a2", manager.clock.wall())])
    assert known.orders[0].offence == 2
    manager.clock.passed += 86_400.0 + 121.0
    await manager.ledger.forget_old()
    (fresh,) = await manager.dispatch.take([sighting("a3", manager.clock.wall())])
    assert fresh.orders[0].offence == 1
    assert fresh.orders[0].target == ATTACKER
