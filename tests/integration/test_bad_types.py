"""A wrong value in any field of any message: no consumer stops, what can't be taken is kept with the reason, the next
good one is taken. By examples that hypothesis makes up, into the queues of the real daemons.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import codec, topology
from shared.errors import MessageError
from shared.messages import Acknowledgement, Expiry, Heartbeat, LogBatch, Message, Order, Policy, PolicyEntry
from tests.integration.a_manager_daemon import ATTACKER, Hands, RunningManager, attack, known, state_of
from tests.integration.an_agent import AnAgent, an_order
from tests.unit.a_manager import acknowledgement, expiry, heartbeat
from tests.waiting import eventually

pytestmark = pytest.mark.broker
AT_ONCE = 40
FEW = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=20),
        st.binary(max_size=20),
        st.sampled_from(["", "web2", "all", "add", ATTACKER, "x" * 300, "\x00", 0, -1, 1e300, [], {}]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
SAID: dict[str, tuple[str, Message]] = {
    "acknowledgement": (topology.EVENTS, acknowledgement("an-order", "web1", "applied", 1.0, exit_code=0)),
    "expiry": (topology.EVENTS, expiry("an-order", "web1", 1.0)),
    "heartbeat": (topology.EVENTS, heartbeat("web1", holds=("an-order",), labels={"a": "b"})),
    "log": (topology.LOGS, attack(count=2)),
}
KINDS: dict[str, type[Message]] = {
    "acknowledgement": Acknowledgement,
    "expiry": Expiry,
    "heartbeat": Heartbeat,
    "log": LogBatch,
}
POLICY = Policy(version=1, entries=(PolicyEntry(network="192.0.2.0/24", reason="docs"),))


@pytest.fixture
def manager(guard, broker, tmp_path) -> RunningManager:
    running = RunningManager(guard, broker, tmp_path)
    running.start()
    return running


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """One loop for all examples: hypothesis calls plain functions."""
    with asyncio.Runner() as one:
        yield one


@st.composite
def spoilt(draw: st.DrawFn, message: Message) -> bytes:
    """The message with one field, wherever it is, of another value or left out."""
    fields = msgspec.to_builtins(message)
    holder: Any = fields
    key = draw(st.sampled_from(list(holder)))
    while holder[key] and isinstance(holder[key], dict | list) and draw(st.booleans()):
        holder = holder[key]
        key = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
    if draw(st.integers(0, 9)) == 0:
        del holder[key]
    else:
        holder[key] = draw(JUNK)
    body: bytes = msgpack.packb(fields)
    return body


def test_nothing_that_an_agent_may_say_stops_the_manager(manager, broker, runner):
    """Answers, ends, heartbeats and log batches: each is taken, or kept as a dead letter, and none is lost."""
    expected = 0
    hands = runner.run(Hands(broker, "web1").__aenter__())

    @FEW
    @given(st.data())
    def examples(data: st.DataObject) -> None:
        nonlocal expected
        words = data.draw(st.lists(st.sampled_from(list(SAID)), min_size=AT_ONCE, max_size=AT_ONCE))
        said = [(word, data.draw(spoilt(SAID[word][1]))) for word in words]
        expected += sum(not _is_web1s(body, KINDS[word]) for word, body in said)
        runner.run(_publish(hands, [(SAID[word][0], f"{word}.web1", body, word) for word, body in said]))
        runner.run(eventually(lambda: _kept(manager) == expected, 20))

    examples()
    runner.run(_the_manager_goes_on(manager, hands))
    runner.run(hands.__aexit__())


@pytest.mark.root
def test_nothing_in_the_queue_of_orders_stops_anybody(guard, broker, network, tmp_path, manager, runner):
    """Orders and allowlists: agent and manager each take a message or set it aside, and the next good order is
    carried out.
    """
    (tmp_path / "agent").mkdir()
    agent = AnAgent(guard, broker, network.host("web1", 11), tmp_path / "agent")
    hands = runner.run(Hands(broker).__aenter__())
    runner.run(_started(agent, manager))
    expected = {"thwart.agent.web1": 0, topology.MANAGER_ORDERS: 0}
    number = 0

    @FEW
    @given(st.data())
    def examples(data: st.DataObject) -> None:
        nonlocal number
        bodies = []
        for _ in range(AT_ONCE):
            number += 1
            bodies.append(data.draw(spoilt(an_order(f"spoilt-{number}", lifts=("never",), arguments=("a",)))))
        expected["thwart.agent.web1"] += sum(not _is_for_web1(body) for body in bodies)
        expected[topology.MANAGER_ORDERS] += sum(_read(body, Order) is None for body in bodies)
        policies = [(topology.ORDERS, "agent.web1", data.draw(spoilt(POLICY)), topology.POLICY) for _ in range(3)]
        orders = [(topology.ORDERS, "agent.web1", body, "order") for body in bodies]
        runner.run(_publish(hands, [*policies, *orders]))
        runner.run(eventually(lambda: _died(manager) == expected, 20))

    examples()
    last = an_order("a-good-one", "203.0.113.250")
    runner.run(hands.publish(topology.ORDERS, "agent.web1", codec.encode(last), "order", last.id))
    runner.run(eventually(lambda: "203.0.113.250" in agent.in_force(), 10))
    runner.run(state_of(manager, last, {"web1": "applied"}))
    for path in ("/v1/orders?limit=1000", "/v1/blocks", "/v1/agents", "/v1/dead-letters?limit=1000"):
        assert manager.call("GET", path).is_success
    runner.run(hands.__aexit__())
    runner.run(agent.close())


async def _publish(hands: Hands, messages: list[tuple[str, str, bytes, str]]) -> None:
    await asyncio.gather(*(hands.publish(*message, message_id=f"m{index}") for index, message in enumerate(messages)))


async def _started(agent: AnAgent, manager: RunningManager) -> None:
    await agent.started()
    await known(manager, "web1")


async def _the_manager_goes_on(manager: RunningManager, hands: Hands) -> None:
    await hands.beat("web1")
    await known(manager, "web1")
    await hands.log(attack(file="another:file"))
    order = await hands.order("web1")
    await hands.answer(order, "web1")
    await state_of(manager, order, {"web1": "applied"})


def _read(body: bytes, kind: type[Message]) -> Any:
    try:
        return codec.decode(body, kind)
    except MessageError:
        return None


def _is_web1s(body: bytes, kind: type[Message]) -> bool:
    message = _read(body, kind)
    return message is not None and message.agent_id == "web1"


def _is_for_web1(body: bytes) -> bool:
    order = _read(body, Order)
    return order is not None and (order.location == "all" or (order.location != "server" and "web1" in order.agents))


def _kept(manager: RunningManager) -> int:
    ((count,),) = manager.rows("SELECT count(*) FROM dead_letters")
    return int(count)


def _died(manager: RunningManager) -> dict[str, int]:
    """Dead letters about orders, by the queue that they were taken off."""
    rows = manager.rows("SELECT died_in, count(*) FROM dead_letters WHERE kind = 'order' GROUP BY died_in")
    return {"thwart.agent.web1": 0, topology.MANAGER_ORDERS: 0, **dict(rows)}
