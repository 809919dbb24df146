"""The managers' allowlist on an agent: what it protects, what it ends, and that it is there after a crash."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
from msgspec.structs import replace

from agent.actions.action import Effect
from agent.admission import Admission
from agent.inbox import Inbox, read
from agent.journal.taking import Incoming, Rejected
from agent.metrics import AgentMetrics
from shared import codec
from shared.broker import Consumer, Delivery, Publisher
from shared.messages import Order, Policy, PolicyEntry
from shared.outbox import Outbox
from shared.settings import BrokerSettings
from shared.targets import Allowlist
from tests.unit.a_host import AGENT, ATTACKER, AHost, killed

OFFICE = "203.0.113.0/24"  # ATTACKER is in it
OTHER = "198.51.100.7"


class AnAgentsEnd:
    """A host with its inbox, as the daemon wires them; what it knows besides the journal ends with the process."""

    def __init__(self, folder: Path) -> None:
        self.host = AHost(folder)
        self._wire()

    def _wire(self) -> None:
        self.admission = Admission(
            AGENT, (), {"firewall-drop": self.host.action}, allow=Allowlist(), automatic=lambda: Allowlist()
        )
        settings = BrokerSettings()
        self.inbox = Inbox(
            Consumer(settings, "test", [], []),
            "q",
            self.host.journal,
            self.admission,
            work=asyncio.Event(),
            outbox=Outbox(self.host.store, Publisher(settings, "test", [])),
            metrics=AgentMetrics(),
            trouble=self.host.trouble,
        )

    async def restart(self) -> None:
        """Another process, which knows what the journal knows."""
        await self.host.restart()
        self._wire()
        self.admission.follow(await self.host.journal.ruling())

    async def take(self, *messages: Order | Policy | bytes) -> None:
        """One batch of the broker's."""
        await self.inbox._take([delivered(each) for each in messages])

    async def do(self, *messages: Order | Policy | bytes) -> None:
        await self.take(*messages)
        await self.host.turns()


@pytest.fixture
def end(tmp_path: Path) -> Iterator[AnAgentsEnd]:
    made = AnAgentsEnd(tmp_path)
    yield made
    made.host.close()


def a_policy(version: int, *networks: str, caught_up: str = "") -> Policy:
    entries = tuple(PolicyEntry(network=each, reason="the office") for each in networks)
    return Policy(version=version, entries=entries, caught_up=caught_up)


def delivered(message: Order | Policy | bytes) -> Delivery:
    return Delivery(
        body=message if isinstance(message, bytes) else codec.encode(message),
        exchange="thwart.orders",
        routing_key="all",
        kind="order" if isinstance(message, Order) else "policy",
        message_id="m1",
        reason="",
        redelivered=False,
        queue="q",
        tag=1,
        connection=1,
    )


async def test_what_is_in_force_is_lifted_when_it_comes_onto_the_list(end: AnAgentsEnd) -> None:
    """Each holder ends as lifted, what the list doesn't concern stays, and so does what is exempt from it."""
    await end.do(end.host.add("o1"), end.host.add("o2"), end.host.add("o3", OTHER))
    await end.do(end.host.add("o4", "203.0.113.77", exempt=True))
    await end.do(a_policy(1, OFFICE))
    assert set(end.host.in_force()) == {OTHER, "203.0.113.77"}
    assert end.host.ends("o1") + end.host.ends("o2") == [("lifted", "kept"), ("lifted", "reverted")]


async def test_an_order_that_comes_behind_it_is_refused_with_the_entry(end: AnAgentsEnd) -> None:
    """In one batch or in two; an exempt order passes."""
    await end.do(a_policy(1, OFFICE), end.host.add("o1"))
    await end.do(end.host.add("o2"), end.host.add("o3", exempt=True))
    refusal = ("refused", f"protected: {ATTACKER} is protected by {OFFICE} (the office)")
    assert end.host.answers("o1") == end.host.answers("o2") == [refusal]
    assert end.host.answers("o3") == [("applied", "new")]


async def test_an_order_that_comes_before_it_is_never_in_force_after_it(end: AnAgentsEnd) -> None:
    """In the same batch, and taken in an earlier one but not carried out yet: answered as lifted, nothing is done."""
    await end.take(end.host.add("o1"))
    await end.do(end.host.add("o2", "203.0.113.77"), a_policy(1, OFFICE))
    assert end.host.in_force() == {}
    for order in ("o1", "o2"):
        assert [status for status, _ in end.host.answers(order)] == ["lifted"]
    await end.do(end.host.add("o1"))
    assert end.host.in_force() == {}


async def test_a_network_that_holds_somebody_on_the_list_is_lifted_too(end: AnAgentsEnd) -> None:
    """Protection is by overlap in either direction."""
    await end.do(end.host.add("o1", "203.0.113.0/24"))
    await end.do(a_policy(1, "203.0.113.200"))
    assert end.host.in_force() == {}


async def test_an_older_list_changes_nothing(end: AnAgentsEnd) -> None:
    """A redelivery of what was the list before, or the same again, neither protects nor lifts nor is answered."""
    await end.do(a_policy(3, OTHER))
    said = len(end.host.said())
    await end.do(a_policy(2, OFFICE), a_policy(3, OFFICE), end.host.add("o1"))
    assert (end.admission.version, set(end.host.in_force())) == (3, {ATTACKER})
    assert len(end.host.said()) == said + 1


async def test_an_entry_that_is_gone_protects_no_more(end: AnAgentsEnd) -> None:
    """A policy is the whole list, and not what was added to it."""
    await end.do(a_policy(1, OFFICE))
    await end.do(a_policy(2), end.host.add("o1"))
    assert set(end.host.in_force()) == {ATTACKER}


async def test_the_list_outlives_the_process(end: AnAgentsEnd) -> None:
    """It is judged by from the first order after a start on, before any manager is heard."""
    await end.do(a_policy(7, OFFICE))
    await end.restart()
    await end.do(end.host.add("o1"))
    assert (end.admission.version, [status for status, _ in end.host.answers("o1")]) == (7, ["refused"])


async def test_an_agent_that_is_killed_between_taking_the_list_and_lifting_lifts_at_its_start(end: AnAgentsEnd) -> None:
    """Taken is written down: whether it dies before the host is touched, or before that could be written down."""
    await end.do(end.host.add("o1"))
    await end.take(a_policy(1, OFFICE))
    assert set(end.host.in_force()) == {ATTACKER}
    await end.restart()
    assert (end.host.in_force(), end.host.ends("o1")) == ({}, [("lifted", "reverted")])
    await end.do(a_policy(2), end.host.add("o2"))
    await end.take(a_policy(3, OFFICE))
    end.host.journal.deadly = True
    await killed(end.host.executor.turn)
    await end.restart()
    assert (end.host.in_force(), end.host.ends("o2")) == ({}, [("lifted", "reverted")])
    assert set(end.host.counts().values()) == {1}


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        msgpack.packb({"v": 1, "id": "o1", "version": 2}),
        msgpack.packb({"v": 1, "version": 2, "entries": [["not a network", ""]]}),
        msgpack.packb({"v": 1, "version": -1, "entries": []}),
        msgpack.packb({"v": 1, "version": 2**64 - 1, "entries": []}),
        msgpack.packb({"v": 1, "version": 2, "entries": {"10.0.0.0/8": ""}}),
    ],
)
async def test_a_malformed_policy_is_set_aside_and_the_next_message_taken(end: AnAgentsEnd, body: bytes) -> None:
    """It goes to the dead letters as malformed, nobody is answered, and the list stays what it was."""
    await end.do(a_policy(1, OTHER))
    await end.do(body, end.host.add("o2"))
    letters = end.host.store.run_now(lambda c: c.execute("SELECT * FROM outbox WHERE kind = 'policy'").fetchall())
    assert [(row["exchange"], row["reason"]) for row in letters] == [("thwart.dead", "malformed")]
    assert (end.host.answers("o1"), end.host.answers("o2")) == ([], [("applied", "new")])
    assert end.admission.version == 1


async def test_a_batch_that_cannot_be_written_down_changes_no_judgement(end: AnAgentsEnd, monkeypatch) -> None:
    """What the journal doesn't have is not followed: after a crash it would be forgotten."""
    read([delivered(a_policy(1, OFFICE))], end.admission)
    (judged,) = read([delivered(end.host.add("o1"))], end.admission)
    assert isinstance(judged, Incoming)
    assert (end.admission.version, judged.refusal) == (0, "")


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_what_was_adopted_is_released_when_nothing_is_missing_any_more(end: AnAgentsEnd, version: int) -> None:
    """The list that ends this journal's catch-up says so, whatever its version; what its orders took over stays."""
    end.host.action.apply([Effect(key=each, target=each, arguments=(), left=300.0) for each in (ATTACKER, OTHER)])
    await end.host.executor.start()
    await end.do(a_policy(1, "192.0.2.0/24"))
    assert set(end.host.in_force()) == {ATTACKER, OTHER}
    await end.do(end.host.add("o1"), a_policy(version, caught_up="a journal that was lost"))
    assert set(end.host.in_force()) == {ATTACKER, OTHER}
    await end.do(a_policy(version, caught_up=end.host.journal.id))
    assert set(end.host.in_force()) == {ATTACKER}
    assert end.host.answers("o1") == [("applied", "new")]


async def test_the_executor_is_woken_for_what_a_list_ends(end: AnAgentsEnd) -> None:
    """Nobody whose block is to go waits for the next order."""
    await end.do(end.host.add("o1"))
    end.inbox._work.clear()
    await end.take(a_policy(1, OFFICE))
    assert end.inbox._work.is_set()


def test_a_body_that_claims_to_be_an_order_is_one() -> None:
    """Only a message of the kind `policy` is read as one."""
    body = codec.encode(a_policy(1, OFFICE))
    order = replace(delivered(body), kind="order")
    admission = Admission(AGENT, (), {}, allow=Allowlist(), automatic=lambda: Allowlist())
    (thing,) = read([order], admission)
    assert isinstance(thing, Rejected)
