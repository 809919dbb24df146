"""Dead letters from a real broker: in the ledger with the reason, listed by the command line, and what they settle."""

import asyncio
import json

import pytest

from shared import topology
from shared.broker import Publisher
from tests.fault.queues import Queues
from tests.integration.a_manager_daemon import ATTACKER, Hands, known
from tests.running import connected
from tests.waiting import eventually

pytestmark = pytest.mark.broker


async def test_an_order_that_the_broker_lets_expire_is_stale_at_once(manager, broker):
    """The broker tells of it long before the ledger would have given up waiting; a restart still knows."""
    queue = topology.agent_queue("web1", (), "classic")
    absent = Publisher(broker.settings, "absent", (*topology.exchanges(), queue))
    async with Hands(broker) as hands, connected(absent):
        await hands.beat("web1")
        await known(manager, "web1")
        await _only_what_comes_now(broker, absent, queue.name)
        wish = {"request_id": "expires-soon", "address": ATTACKER, "location": "all", "timeout": 1}
        given = manager.call("POST", "/v1/blocks", json=wish).json()["orders"][0]
        (letter,) = await eventually(lambda: manager.get("/v1/dead-letters?reason=expired")["dead_letters"])
        assert (letter["died_in"], letter["message_id"]) == (queue.name, given["id"])
        (agent,) = manager.get(f"/v1/orders/{given['id']}")["view"]["agents"]
        assert (agent["state"], agent["note"]) == ("stale", "expired in its queue")
        manager.kill()
        manager.start()
        assert manager.get("/v1/dead-letters")["dead_letters"] == [letter]


async def _only_what_comes_now(broker, absent: Publisher, queue: str) -> None:
    """Takes away the allowlist that a new agent is sent: only at its head does a queue let anything expire."""
    await eventually(lambda: asyncio.to_thread(Queues(broker).messages, queue))
    channel = await absent.channel()
    await absent.ask(lambda done: channel.queue_purge(queue, callback=done))


async def test_the_command_line_lists_them(manager, broker):
    """As a table for people, whatever bytes are in them, and as JSON for programs; by reason, the newest first."""
    async with Hands(broker) as hands:
        await hands.publish(topology.EVENTS, "gossip.web1", b"\x1b[2J who reads this?", "gossip\x1b[2J")
        await hands.publish(topology.EVENTS, "acknowledgement.web1", b"\xc1", "acknowledgement")
        await eventually(lambda: len(manager.get("/v1/dead-letters")["dead_letters"]) == 2)
    table = await asyncio.to_thread(manager.thwart, "dead-letters")
    assert (table.returncode, table.stderr) == (0, "")
    assert "unroutable" in table.stdout and "malformed" in table.stdout and "\x1b" not in table.stdout
    listed = await asyncio.to_thread(manager.thwart, "dead-letters", "--reason", "malformed", "-o", "json")
    (letter,) = json.loads(listed.stdout)
    assert (letter["routing_key"], letter["size"], letter["body"]) == ("acknowledgement.web1", 1, "wQ==")
    assert letter["detail"].startswith("not MessagePack")
    wrong = await asyncio.to_thread(manager.thwart, "dead-letters", "--reason", "boredom")
    assert wrong.returncode == 2
