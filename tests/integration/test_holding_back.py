"""Breaker, approval and pause on the real manager, by its command line, and over a SIGKILL."""

import json
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from shared import codec, topology
from shared.messages import Order
from tests.integration.a_manager_daemon import ATTACKER, Hands, RunningManager, attack, known, state_of
from tests.waiting import eventually

pytestmark = pytest.mark.broker

OSSEC_CONF = """
<ossec_config>
  <active-response>
    <name>everywhere</name>
    <command>firewall-drop</command>
    <location>all</location>
    <rules_id>5712</rules_id>
    <timeout>600</timeout>
    <limit>2</limit>
  </active-response>
</ossec_config>
"""
NEXT = "203.0.113.99"
NOBODY = "amqp://guest:guest@127.0.0.1:1/"


@pytest.fixture
def manager(guard, broker, tmp_path):
    running = RunningManager(guard, broker, tmp_path)
    (tmp_path / "ossec.conf").write_text(OSSEC_CONF)
    running.start()
    return running


async def test_the_latch_outlives_a_killed_manager_until_somebody_approves(manager, broker):
    """Two a minute go out and three wait; after a SIGKILL what is new waits too, until all of it is approved."""
    async with Hands(broker, "web1") as hands:
        await _here(manager, hands)
        sent = await _attacked(hands, 5, sent=2)
        await _on_hold(manager, 3)
        assert [each["response"] for each in manager.said("breaker_tripped")] == ["everywhere"]
        manager.kill()
        manager.start()
        await hands.log(attack(source=NEXT, file="9:9"))
        await _on_hold(manager, 4)
        assert manager.get("/v1/health")["tripped"] == ["everywhere"]
        listed = manager.thwart("orders", "--on-hold")
        assert listed.stdout.count("breaker (everywhere)") == 4
        done = manager.thwart("approve", "--response", "everywhere")
        assert (done.returncode, done.stdout) == (0, "4 orders approved\n")
        released = await hands.orders("web1", 4)
        assert {each.target for each in released} == {*_sources(5), NEXT} - {each.target for each in sent}
        assert all(each.expires_at == each.issued_at + 600 for each in released)
        assert manager.metric("thwart_orders_on_hold") == 0
        await hands.log(attack(source=ATTACKER, file="9:10"))
        assert (await hands.order("web1")).target == ATTACKER


async def test_a_pause_outlives_a_killed_manager(manager, broker):
    """Nothing but lifts goes out, also after a SIGKILL; health and status say who paused and why."""
    async with Hands(broker, "web1") as hands:
        await _here(manager, hands)
        (running,) = await _attacked(hands, 1, sent=1)
        await hands.answer(running, "web1")
        await state_of(manager, running, {"web1": "applied"})
        assert manager.thwart("pause", "--reason", "false alarms").returncode == 0
        manager.kill()
        manager.start()
        assert manager.get("/v1/health")["paused"]["reason"] == "false alarms"
        status = manager.thwart("pause", "--status")
        assert "by operator: false alarms; nothing but lifts is sent" in status.stdout
        await hands.log(attack(source=NEXT, file="9:9"))
        by_hand = manager.thwart("block", ATTACKER)
        assert (by_hand.returncode, "on hold: blocking" in by_hand.stderr) == (0, True)
        assert "`thwart approve` lets it through" in by_hand.stderr
        await _on_hold(manager, 2)
        assert manager.thwart("unblock", running.target, "--no-wait").returncode == 0
        assert (await hands.order("web1")).lifts == (running.id,)
        refused = manager.thwart("approve", "--all")
        assert (refused.returncode, "`thwart resume` first" in refused.stderr) == (1, True)
        resumed = manager.thwart("resume")
        assert "2 on hold (2 paused); see `thwart orders --on-hold`" in resumed.stdout
        assert hands.idle("web1")
        assert manager.thwart("approve", "--target", NEXT).stdout == "1 order approved\n"
        assert (await hands.order("web1")).target == NEXT
        refused = manager.thwart("refuse", "--all", "--reason", "no", "-o", "json")
        decided = json.loads(refused.stdout)
        assert (len(decided["orders"]), decided["objections"]) == (1, [])


async def test_what_was_never_sent_is_kept_by_a_pause(manager, broker):
    """The broker is away: what waits in the outbox goes on hold, and is not sent when the broker is back."""
    async with Hands(broker, "web1") as hands:
        await _here(manager, hands)
        manager.kill()
        manager.environment["THWART_BROKER_URLS"] = NOBODY
        manager.start()
        order = manager.call("POST", "/v1/blocks", json=_block("never-sent")).json()["orders"][0]
        assert "1 that had not been sent were taken back" in manager.thwart("pause").stdout
        assert manager.get(f"/v1/orders/{order['id']}")["view"]["state"] == "on-hold"
        manager.kill()
        manager.environment["THWART_BROKER_URLS"] = broker.url
        manager.start()
        await eventually(lambda: manager.get("/v1/health")["broker"] == "connected", 20)
        assert manager.thwart("resume").returncode == 0
        await hands.beat("web1", queue="new")
        await eventually(lambda: not manager.get("/v1/health")["unsent"])
        assert hands.idle("web1")
        assert manager.thwart("approve", order["id"][:8]).returncode == 0
        released = await hands.order("web1")
        assert (released.id, released.issued_at > order["issued_at"]) == (order["id"], True)


async def test_everything_is_lifted_at_a_word(manager, broker):
    """What is in force, what is on hold, another program's, and what was counted before brings no block back."""
    async with Hands(broker, "web1") as hands:
        await _here(manager, hands)
        sent = await _attacked(hands, 3, sent=2)
        await _on_hold(manager, 1)
        strange = replace(sent[0], id="another-correlators", target="198.51.100.77", location="agent", agents=("web1",))
        await hands.publish(topology.ORDERS, "agent.web1", codec.encode(strange), "order", strange.id)
        sent = [*sent, await hands.order("web1")]
        await eventually(lambda: manager.call("GET", f"/v1/orders/{strange.id}").is_success)
        await hands.log(attack(0, 2, source=NEXT, file="9:9"))
        asked = manager.thwart("unblock", "--everything")
        assert (asked.returncode, "add --yes" in asked.stderr) == (2, True)
        done = manager.thwart("unblock", "--everything", "--yes", "-o", "json")
        assert json.loads(done.stdout)["orders"] == 4
        assert "`thwart pause` first" in done.stderr
        lifts = await hands.orders("web1", 4)
        assert {each.operation for each in lifts} == {"delete"}
        assert {lifted for each in lifts for lifted in each.lifts} >= {each.id for each in sent}
        await _on_hold(manager, 0)
        await hands.log(attack(2, 1, source=NEXT, file="9:9"))
        await eventually(lambda: manager.metric("thwart_log_lines_total") == 12)
        assert hands.idle("web1")


async def test_wrong_words_are_said_to_be_wrong(manager):
    """No choice, two choices, a choice left empty (which is no wish for everything), and ids that don't exist."""
    for words in ((), ("--all", "feedfeed"), ("--all", "--response", "r"), ("--target", ""), ("--response", "")):
        assert manager.thwart("approve", *words).returncode == 2
    unknown = manager.thwart("refuse", "feedfeed")
    assert (unknown.returncode, "no order, or more than one" in unknown.stderr) == (1, True)
    (objection,) = json.loads(manager.thwart("refuse", "feedfeed", "-o", "json").stdout)["objections"]
    assert objection["order_id"] == "feedfeed"
    assert manager.thwart("approve", "--all").stdout == "nothing of that is on hold\n"
    assert manager.call("POST", "/v1/approvals", json={}).status_code == 422
    for empty in ("target", "response"):
        assert manager.call("POST", "/v1/approvals", json={empty: ""}).status_code == 400
    assert manager.call("POST", "/v1/pause", headers={}).status_code == 401


async def _here(manager: RunningManager, hands: Hands) -> None:
    await hands.beat("web1")
    await known(manager, "web1")


async def _attacked(hands: Hands, count: int, sent: int) -> Sequence[Order]:
    """So many attack at once; the orders for those that are let through."""
    for number, source in enumerate(_sources(count)):
        await hands.log(attack(source=source, file=f"1:{number}"))
    return await hands.orders("web1", sent)


def _sources(count: int) -> list[str]:
    return [f"203.0.113.{number}" for number in range(20, 20 + count)]


async def _on_hold(manager: RunningManager, count: int) -> None:
    await eventually(lambda: manager.get("/v1/health")["on_hold"] == count)


def _block(request_id: str) -> dict[str, object]:
    return {"request_id": request_id, "address": ATTACKER, "location": "all"}
