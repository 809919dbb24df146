"""Orders of other correlators, through a real broker: carried out by the agent, and in the manager's ledger."""

import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import msgpack
import msgspec
import pytest

from shared import codec, topology
from shared.messages import Order, Policy, PolicyEntry
from tests.fault.queues import Queues
from tests.integration.a_manager_daemon import ATTACKER, LISTED, Hands, RunningManager, known, state_of
from tests.integration.an_agent import AnAgent, a_delete, an_order
from tests.stage.logins import Logins
from tests.waiting import eventually

pytestmark = pytest.mark.broker
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def logins(broker):
    some = Logins(broker)
    yield some
    some.close()


@pytest.mark.root
async def test_the_publisher_in_the_readme_works(guard, broker, network, tmp_path):
    """Its text, run as it stands but for the broker's address, blocks; order and answers are in the ledger; unblock
    lifts it.
    """
    (tmp_path / "agent").mkdir()
    agent = AnAgent(guard, broker, network.host("web1", 11), tmp_path / "agent")
    manager = RunningManager(guard, broker, tmp_path)
    manager.start()
    await agent.started()
    await known(manager, "web1")
    await asyncio.to_thread(_publish_as_the_readme_says, broker.url)
    await eventually(lambda: agent.in_force().keys() == {ATTACKER}, 10)
    (view,) = await eventually(lambda: manager.get("/v1/orders")["orders"])
    assert (view["origin"], view["order"]["issuer"], view["target"]) == ("foreign", "my-siem", ATTACKER)
    await eventually(lambda: _shown(manager, view["id"])["view"]["state"] == "applied")
    assert [each["target"] for each in manager.get("/v1/blocks")["blocks"]] == [ATTACKER]
    assert manager.thwart("unblock", ATTACKER).returncode == 0
    await eventually(lambda: agent.in_force() == {}, 10)
    await eventually(lambda: _shown(manager, view["id"])["view"]["state"] == "ended")
    assert [said["word"] for said in _shown(manager, view["id"])["history"]] == ["applied", "reverted"]
    await agent.close()


@pytest.mark.root
async def test_a_protected_target_is_the_agents_to_refuse(guard, broker, network, tmp_path, manager):
    """The manager writes the order down, the agent refuses it by the allowlist, and the refusal is in the ledger."""
    (tmp_path / "agent").mkdir()
    agent = AnAgent(guard, broker, network.host("web1", 11), tmp_path / "agent")
    await agent.started()
    await known(manager, "web1")
    await eventually(lambda: agent.logged("policy"), 15)
    order = an_order("on-the-list", LISTED)
    await agent.send(order)
    await eventually(lambda: manager.call("GET", "/v1/orders/on-the-list").is_success)
    await state_of(manager, order, {"web1": "refused"})
    (told,) = manager.get("/v1/orders/on-the-list")["view"]["agents"]
    assert told["detail"].startswith("protected") and "white_list" in told["detail"]
    assert agent.in_force() == {}
    await agent.close()


async def test_our_own_orders_come_by_and_stay_ours(manager, broker):
    """Orders, repeats to one agent, deletes and the allowlist of the manager's own make no foreign order, no letter."""
    async with Hands(broker, "web1") as hands:
        await hands.beat("web1")
        await known(manager, "web1")
        await asyncio.to_thread(manager.thwart, "block", ATTACKER, "--for", "forever", "--no-wait")
        order = await hands.order("web1")
        await hands.answer(order, "web1")
        await hands.beat("web1", queue="new")
        assert (await hands.order("web1")).id == order.id
        await asyncio.to_thread(manager.thwart, "unblock", ATTACKER, "--no-wait")
        assert (await hands.order("web1")).operation == "delete"
        await asyncio.to_thread(Queues(broker).empty, topology.MANAGER_ORDERS)
        assert manager.rows("SELECT count(*) FROM orders WHERE origin = 'foreign'") == [(0,)]
        assert manager.rows("SELECT count(*) FROM dead_letters") == [(0,)]


async def test_a_foreign_delete_ends_an_order_of_ours(manager, web1):
    """The agent lifts it, and the ledger shows by which delete."""
    await asyncio.to_thread(manager.thwart, "block", ATTACKER, "--no-wait")
    order = await web1.order("web1")
    delete = a_delete("siem-says-no", order.id, location="all", agents=())
    await web1.publish(topology.ORDERS, "all", codec.encode(delete), "order", delete.id)
    await eventually(lambda: manager.get(f"/v1/orders/{order.id}")["view"]["lifted_by"] == delete.id)


async def test_an_order_for_nobody_known_is_unroutable(manager, broker):
    """The broker has it and no agent does: the ledger says so."""
    async with Hands(broker) as hands:
        order = an_order("for-a-ghost", agents=("ghost",))
        await hands.publish(topology.ORDERS, "agent.ghost", codec.encode(order), "order", order.id)
        await eventually(lambda: manager.get("/v1/orders?state=unroutable")["orders"])
        (said,) = manager.said("unroutable")
        assert said["agents"] == ["ghost"]


async def test_orders_wait_while_the_manager_is_away(manager, web1):
    """What was published and answered meanwhile is in the ledger, whole, when the manager is back."""
    manager.kill()
    order = an_order("while-away")
    await web1.publish(topology.ORDERS, "agent.web1", codec.encode(order), "order", order.id)
    await web1.answer(await web1.order("web1"), "web1")
    manager.start()
    await eventually(lambda: manager.call("GET", "/v1/orders/while-away").is_success)
    await state_of(manager, order, {"web1": "applied"})
    assert manager.get("/v1/orders/while-away")["view"]["order"]["target"] == ATTACKER


def _strange() -> dict[str, tuple[str, bytes]]:
    order = msgspec.to_builtins(an_order("strange"))
    policy = Policy(version=2**30, entries=(PolicyEntry(network="0.0.0.0/1"),))
    return {
        "malformed": ("order", b"no order at all"),
        "unsupported-version": ("order", msgpack.packb({**order, "v": 99})),
        "too-large": ("order", msgpack.packb({**order, "reason": "x" * codec.MAX_ORDER})),
        "foreign-policy": (topology.POLICY, codec.encode(policy)),
    }


@pytest.mark.parametrize("reason", _strange())
async def test_what_is_no_order_is_a_dead_letter_with_its_reason(manager, broker, logins, reason):
    """It is in the ledger, with its beginning and who sent it; the next order is taken."""
    kind, body = _strange()[reason]
    async with Hands(broker) as hands:
        await asyncio.to_thread(_publish, logins.add("siem"), "agent.web1", body, kind)
        (letter,) = await eventually(lambda: manager.get("/v1/dead-letters")["dead_letters"])
        assert (letter["reason"], letter["died_in"]) == (reason, topology.MANAGER_ORDERS)
        order = an_order("the-next", agents=("ghost",))
        await hands.publish(topology.ORDERS, "agent.ghost", codec.encode(order), "order", order.id)
        await eventually(lambda: manager.call("GET", "/v1/orders/the-next").is_success)


async def test_the_second_order_of_an_id_is_set_aside(manager, broker):
    """It leaves the first as it was, and is in the ledger as `id-taken`."""
    async with Hands(broker) as hands:
        for target in ("203.0.113.1", "203.0.113.2"):
            body = codec.encode(an_order("one-id", target, agents=("ghost",)))
            await hands.publish(topology.ORDERS, "agent.ghost", body, "order", "one-id")
        (letter,) = await eventually(lambda: manager.get("/v1/dead-letters?reason=id-taken")["dead_letters"])
        assert letter["message_id"] == "one-id"
        assert manager.get("/v1/orders/one-id")["view"]["target"] == "203.0.113.1"


async def test_an_alert_that_is_nested_too_deeply_spoils_no_list(manager, broker):
    """An order that could be read and not be told is set aside, instead of making every list fail that it is in."""
    order = msgpack.packb({**msgspec.to_builtins(an_order("odd", agents=("ghost",))), "alert": "?"})
    body = order.replace(msgpack.packb("?"), b"\x81\xa1a" * 990 + b"\xc0")
    assert codec.decode(body, Order).id == "odd"
    async with Hands(broker) as hands:
        await hands.publish(topology.ORDERS, "agent.ghost", body, "order", "odd")
        await eventually(lambda: manager.get("/v1/dead-letters?reason=malformed")["dead_letters"])
        assert manager.get("/v1/orders")["orders"] == []


def _publish_as_the_readme_says(url: str) -> None:
    (text,) = re.findall(r"```python\n(import time.*?)```", README.read_text(), re.DOTALL)
    assert len(text.strip().splitlines()) <= 15
    here = re.sub(r'"amqps://[^"]*"', repr(url), text)
    subprocess.run([sys.executable, "-c", here], check=True, timeout=20)


def _shown(manager: RunningManager, order_id: str) -> dict:
    return json.loads(manager.thwart("orders", "show", order_id, "-o", "json").stdout)


def _publish(url: str, key: str, body: bytes, kind: str) -> None:
    """As another program would, with a login of its own."""
    import pika

    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        properties = pika.BasicProperties(type=kind, message_id=f"strange-{time.time()}", delivery_mode=2)
        channel.basic_publish(topology.ORDERS, key, body, properties)
