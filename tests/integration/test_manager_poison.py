"""Nothing that somebody sends stops the manager: it is set aside with a reason, and the next message is taken."""

from collections.abc import Awaitable, Callable

import msgpack
import msgspec
import pytest

from shared import codec, topology
from shared.messages import Message
from tests.integration.a_manager_daemon import COUNT, Hands, RunningManager, attack, known, state_of
from tests.unit.a_manager import heartbeat
from tests.waiting import eventually

pytestmark = pytest.mark.broker

GARBAGE = (
    b"",
    b"\xc1",
    b"not msgpack at all",
    msgpack.packb([1, 2, 3]),
    msgpack.packb({"v": 1}),
    msgpack.packb({"v": 99, "agent_id": "web1"}),
    b"\x91" * 2_000,  # nested deeper than anybody reads
    b"\xc4\xff",  # shorter than it says
    bytes(codec.MAX_BODY + 1),
)


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        (topology.EVENTS, "acknowledgement.web1"),
        (topology.EVENTS, "expiry.web1"),
        (topology.EVENTS, "heartbeat.web1"),
        (topology.LOGS, "log.web1"),
        (topology.DEAD, "anything"),
        (topology.UNROUTABLE, "anything"),
    ],
)
async def test_poison_is_set_aside_and_the_next_message_is_taken(manager, broker, exchange, key):
    """Whatever comes into a queue of the manager's, all of them go on, and each piece is counted once."""
    async with Hands(broker, "web1") as hands:
        for body in GARBAGE:
            await hands.publish(exchange, key, body)
        await eventually(lambda: _dead(manager) == len(GARBAGE))
        await _goes_on(manager, hands)
        assert _dead(manager) == len(GARBAGE)


@pytest.mark.parametrize("word", ["acknowledgement", "expiry", "heartbeat", "log"])
async def test_who_speaks_for_another_is_set_aside(manager, broker, word):
    """A message that names another agent than its routing key does changes nothing and is dead-lettered as forged."""
    async with Hands(broker, "web1", "mallory") as hands:
        await hands.beat("web1")
        await known(manager, "web1")
        order = await _order(manager, hands)
        await _forge(hands, order, word)
        await eventually(lambda: manager.metric('thwart_dead_letters_total{reason="forged-sender"}') == 1)
        await state_of(manager, order, {"web1": "waiting"})
        assert {each["id"] for each in manager.get("/v1/agents")["agents"]} == {"web1"}
        assert manager.rows("SELECT count(*) FROM positions") == [(0,)]


async def test_a_message_under_a_key_that_nobody_binds_is_kept_and_counted(manager, broker):
    """What no queue takes goes to the queue for it, and is read there."""
    async with Hands(broker, "web1") as hands:
        await hands.publish(topology.EVENTS, "gossip.web1", b"who reads this?")
        await eventually(lambda: manager.metric('thwart_dead_letters_total{reason="unroutable"}') == 1)
        (letter,) = manager.said("dead_letter")
        assert (letter["routing_key"], "who reads this?" in letter["excerpt"]) == ("gossip.web1", True)


async def test_numbers_that_no_database_holds_are_set_aside(manager, broker):
    """An integer beyond SQL's is refused when it is read, not when it is written."""
    async with Hands(broker, "web1") as hands:
        batch = msgspec.to_builtins(attack(count=1))
        batch["lines"] = [[text, at, 2**64 - 1] for text, at, _ in batch["lines"]]
        await hands.publish(topology.LOGS, "log.web1", msgpack.packb(batch))
        await eventually(lambda: _dead(manager) == 1)
        await _goes_on(manager, hands)


async def test_a_heartbeat_is_small(manager, broker):
    """One that is larger than any agent's is set aside unread: each agent's latest is kept, and has to fit again."""
    async with Hands(broker, "web1") as hands:
        beat = msgspec.to_builtins(heartbeat("web1"))
        lean = {name: value for name, value in beat.items() if value}  # what is left out comes back as a default
        room = codec.MAX_BODY - codec.size({**lean, "hostname": "x" * 70_000}) + 70_000
        await hands.publish(topology.EVENTS, "heartbeat.web1", msgpack.packb({**lean, "hostname": "x" * room}))
        await eventually(lambda: _dead(manager) == 1)
        await _goes_on(manager, hands)


async def test_a_source_that_floods_dead_letters_does_not_fill_the_log(manager, broker):
    """Of many dead letters each is counted and a few are shown."""
    async with Hands(broker) as hands:
        for number in range(300):
            await hands.publish(topology.DEAD, f"flood.{number}", b"x" * 100_000)
        await eventually(lambda: _dead(manager) == 300, within=15)
        assert len(manager.said("dead_letter")) < 50
        assert max(len(line) for line in manager.log.read_text().splitlines()) < 4_000


async def _goes_on(manager: RunningManager, hands: Hands) -> None:
    """Every consumer still does its work."""
    await hands.beat("web1")
    await known(manager, "web1")
    await hands.log(attack())
    order = await hands.order("web1")
    await hands.answer(order, "web1")
    await state_of(manager, order, {"web1": "applied"})


async def _order(manager: RunningManager, hands: Hands):
    manager.call("POST", "/v1/blocks", json={"request_id": "poison-1", "address": "203.0.113.7", "location": "all"})
    return await hands.order("web1")


async def _forge(hands: Hands, order: object, word: str) -> None:
    """`mallory` says something in the name of web1."""
    say: Callable[[str, str, Message], Awaitable[None]] = hands.say

    async def under_another_key(word: str, agent: str, message: Message) -> None:
        await say(word, "mallory", message)

    hands.say = under_another_key  # type: ignore[method-assign]
    if word == "acknowledgement":
        await hands.answer(order, "web1")  # type: ignore[arg-type]
    elif word == "expiry":
        await hands.end(order, "web1")  # type: ignore[arg-type]
    elif word == "heartbeat":
        await hands.beat("web2")
    else:
        await hands.publish(topology.LOGS, "log.mallory", codec.encode(attack(count=COUNT)))


def _dead(manager: RunningManager) -> float:
    reasons = ("malformed", "unsupported-version", "too-large", "unroutable", "other")
    return sum(manager.metric(f'thwart_dead_letters_total{{reason="{reason}"}}') for reason in reasons)
