"""The manager on a real broker: lines in, orders out, answers merged, whatever is sent and whoever is away."""

import os
import subprocess

import pytest

from shared.ids import digest
from tests.integration.a_manager_daemon import (
    ATTACKER,
    COUNT,
    LISTED,
    THWART,
    Hands,
    RunningManager,
    attack,
    known,
    state_of,
)
from tests.waiting import eventually

pytestmark = pytest.mark.broker


async def test_lines_become_an_alert_and_an_order_in_one_transaction(manager, broker):
    """Log lines that make a rule fire put alert, order and position into the ledger, and the order goes out."""
    async with Hands(broker, "web1", "web2") as hands:
        await hands.beat("web1")
        await hands.beat("web2")
        await known(manager, "web1", "web2")
        await hands.log(attack())
        order = await hands.order("web2")
        assert (await hands.order("web1")) == order
        assert (order.target, order.location, order.rule_id, order.timeout) == (ATTACKER, "all", "5712", 600)
        assert fired(manager) == [order.alert["id"]]
        assert manager.rows("SELECT position FROM positions") == [(100 * (COUNT - 1),)]
        assert [each["order_id"] for each in manager.said("ordered")] == [order.id]


async def test_answers_and_ends_are_merged(manager, broker):
    """What agents say settles the order, each for itself, and one line tells when it is over."""
    async with Hands(broker, "web1", "web2") as hands:
        await hands.beat("web1")
        await hands.beat("web2")
        await known(manager, "web1", "web2")
        await hands.log(attack())
        order = await hands.order("web1")
        await hands.answer(order, "web1")
        await hands.answer(order, "web2", "failed", detail="nft: no", exit_code=1)
        await state_of(manager, order, {"web1": "applied", "web2": "failed"})
        assert [block["target"] for block in manager.get("/v1/blocks")["blocks"]] == [ATTACKER]
        await hands.end(order, "web1")
        await state_of(manager, order, {"web1": "ended", "web2": "failed"})
        (over,) = await eventually(lambda: manager.said("order_over"))
        assert (over["order_id"], over["agents"]) == (order.id, {"ended": 1, "failed": 1})
        assert manager.metric('thwart_acknowledgements_total{status="applied"}') == 1
        assert manager.metric("thwart_order_answer_seconds_count") == 2
        assert manager.metric("thwart_log_to_order_seconds_count") == 1
        assert manager.metric("thwart_log_to_applied_seconds_count") == 1


async def test_a_batch_that_comes_again_counts_nothing_twice(manager, web1):
    """Lines that living windows have counted are dropped when their batch is delivered again."""
    for _ in range(COUNT):
        await web1.log(attack(count=1))
    await eventually(lambda: manager.metric("thwart_log_lines_known_total") == COUNT - 1)
    assert not fired(manager)
    await web1.log(attack(first=1, count=COUNT - 1))
    assert (await web1.order("web1")).target == ATTACKER


async def test_a_restart_keeps_positions(manager, web1):
    """A batch that comes again after a restart counts nothing: its lines lie at or below the stored position."""
    await web1.log(attack())
    await web1.order("web1")
    assert manager.stop() == 0
    manager.start()
    await web1.log(attack())
    await eventually(lambda: manager.metric("thwart_log_lines_known_total") == COUNT)
    assert manager.metric("thwart_log_lines_total") == 0
    assert len(fired(manager)) == 1


async def test_a_crash_forgets_what_was_half_counted(manager, web1):
    """After SIGKILL a half-filled window starts anew: the lines before it are known, and count no more."""
    await web1.log(attack(count=COUNT - 1))
    await eventually(lambda: manager.rows("SELECT position FROM positions"))
    manager.kill()
    manager.start()
    await web1.log(attack(first=0, count=COUNT))
    await eventually(lambda: manager.metric("thwart_log_lines_total") == 1)
    assert not fired(manager)
    await web1.log(attack(first=COUNT, count=COUNT - 1))
    assert (await web1.order("web1")).target == ATTACKER


async def test_answers_wait_while_the_manager_is_away(manager, web1):
    """What agents say to nobody is in the ledger once the manager is back."""
    await web1.log(attack())
    order = await web1.order("web1")
    manager.kill()
    await web1.answer(order, "web1")
    await web1.end(order, "web1")
    manager.start()
    await state_of(manager, order, {"web1": "ended"})


async def test_the_broker_may_go_and_come(manager, broker):
    """Orders that are given while the broker is down go out when it is back, and answers come in."""
    async with Hands(broker, "web1") as hands:
        await hands.beat("web1")
        await known(manager, "web1")
        broker.node.stop()
        given = manager.call("POST", "/v1/blocks", json=_wish("broker-away"))
        assert given.status_code == 201
        assert manager.get("/v1/health")["unsent"] == 1
        broker.node.start()
        order = await hands.order("web1", within=30)
        await hands.answer(order, "web1")
        await state_of(manager, order, {"web1": "applied"}, within=15)
        assert await eventually(lambda: manager.metric('thwart_reconnects_total{link="orders"}') >= 1)


async def test_the_broker_need_not_be_there_at_the_start(guard, broker, tmp_path):
    """A manager that starts without a broker takes orders by hand and sends them once there is one."""
    broker.node.stop()
    manager = RunningManager(guard, broker, tmp_path)
    manager.start()
    assert manager.get("/v1/health")["broker"] == "away"
    assert manager.call("POST", "/v1/blocks", json=_wish("no-broker-yet")).status_code == 201
    broker.node.start()
    async with Hands(broker, "web1") as hands:
        await hands.beat("web1")
        assert (await hands.order("web1", within=15)).target == ATTACKER


async def test_a_new_agent_is_brought_up_to_date(manager, broker):
    """An agent that is first heard of after an `all` block gets it under the same id, within 2 s."""
    given = manager.call("POST", "/v1/blocks", json=_wish("before-it-came")).json()["orders"][0]
    async with Hands(broker, "web4") as hands:
        await hands.beat("web4")
        assert (await hands.order("web4", within=2)).id == given["id"]


async def test_an_agent_whose_queue_was_deleted_is_brought_up_to_date(manager, web1):
    """An agent that says that it made its queue anew gets what is in force."""
    manager.call("POST", "/v1/blocks", json=_wish("lost-with-queue"))
    first = await web1.order("web1")
    await web1.beat("web1", queue="new")
    assert (await web1.order("web1", within=2)).id == first.id


async def test_an_agent_without_a_queue_gets_its_order_once_it_has_one(manager, broker):
    """An order for an agent whose queue is gone waits, and is sent again when the agent has made a new one."""
    async with Hands(broker) as hands:
        await hands.beat("web1")
        await known(manager, "web1")
        wish = {**_wish("no-queue-at-all"), "location": "agent", "agents": ["web1"]}
        given = manager.call("POST", "/v1/blocks", json=wish).json()["orders"][0]
        await eventually(lambda: manager.get(f"/v1/orders/{given['id']}")["view"]["state"] == "waiting")
    async with Hands(broker, "web1") as hands:
        await hands.beat("web1", queue="new")
        assert (await hands.order("web1")).id == given["id"]


async def test_an_attacker_on_the_white_list_is_not_blocked(manager, web1):
    """A protected source fires the rule and gets no order; the refusal says why."""
    await web1.log(attack(source=LISTED))
    (refusal,) = await eventually(lambda: manager.said("not_ordered"))
    assert refusal["reason"] == "protected"
    assert manager.rows("SELECT count(*) FROM orders") == [(0,)]
    assert manager.metric('thwart_refusals_total{reason="protected"}') == 1


async def test_a_lifted_block_is_not_brought_back_by_the_next_line(manager, web1):
    """`unblock` forgets what was counted: the window has to fill anew."""
    await web1.log(attack(count=COUNT - 1))
    await eventually(lambda: manager.metric("thwart_log_lines_total") == COUNT - 1)
    assert manager.call("POST", "/v1/unblocks", json={"request_id": "unblock-1", "address": ATTACKER}).is_success
    await web1.log(attack(first=COUNT - 1, count=1))
    await eventually(lambda: manager.metric("thwart_log_lines_total") == COUNT)
    assert not fired(manager)


async def test_lines_from_before_a_blocks_end_are_no_part_of_the_next_offence(manager, web1):
    """When the last holder ends, what was counted until then leaves the window; what comes after counts."""
    await web1.log(attack())
    order = await web1.order("web1")
    await web1.answer(order, "web1")
    await web1.log(attack(first=COUNT, count=COUNT - 1))
    await eventually(lambda: manager.metric("thwart_log_lines_total") == 2 * COUNT - 1)
    await web1.end(order, "web1")
    await state_of(manager, order, {"web1": "ended"})
    await web1.log(attack(first=2 * COUNT - 1, count=1))
    await eventually(lambda: manager.metric("thwart_log_lines_total") == 2 * COUNT)
    assert len(fired(manager)) == 1


async def test_a_late_alert_is_recorded_and_orders_nothing(manager, web1):
    """Lines that are older than `max_alert_age` are written down and act on nobody."""
    await web1.log(attack(at=1_764_000_000.0))
    (late,) = await eventually(lambda: manager.said("late"))
    assert late["alerts"] == 1, "of those that a response is for"
    assert manager.rows("SELECT rule_id, late FROM alerts") == [("5712", 1)]
    assert manager.rows("SELECT count(*) FROM orders") == [(0,)]


async def test_it_stops_cleanly_and_says_so(manager):
    """SIGTERM ends it with 0."""
    assert manager.stop() == 0
    assert manager.said("stopped")


def fired(manager: RunningManager) -> list[str]:
    """The ids of what the rule that counts made of it; each line by itself is an alert of another rule."""
    return [alert_id for (alert_id,) in manager.rows("SELECT id FROM alerts WHERE rule_id = '5712'")]


def _wish(request_id: str) -> dict[str, object]:
    return {"request_id": digest(request_id), "address": ATTACKER, "location": "all"}


def test_a_second_manager_on_one_state_folder_refuses(manager):
    """The ledger has one writer: a second daemon with the same state folder says whose it is, and ends."""
    second = subprocess.run(
        [str(THWART), "manager"], env={**os.environ, **manager.environment}, capture_output=True, text=True, timeout=20
    )
    assert second.returncode == 1
    assert f"belongs to another process, pid {manager.process.pid}" in second.stderr


def test_what_may_surprise_in_the_configuration_is_logged(guard, broker, tmp_path):
    """A response to a rule that doesn't exist is said at the start, with file and line."""
    manager = RunningManager(guard, broker, tmp_path)
    path = tmp_path / "ossec.conf"
    path.write_text(path.read_text().replace("5712", "119999"))
    manager.start()
    assert "rule 119999 is in none of the rule files" in manager.log.read_text()
