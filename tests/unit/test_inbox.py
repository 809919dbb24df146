"""What the agent makes of each delivery, before anything is carried out."""

import asyncio
from collections.abc import Mapping, Sequence

import msgpack

from agent.actions.action import Action
from agent.admission import Admission, Automatic
from agent.inbox import Inbox, read
from agent.journal.taking import Incoming, Rejected
from agent.metrics import AgentMetrics
from shared import codec
from shared.broker import Consumer, Delivery, Publisher
from shared.dead_letter import KEPT
from shared.messages import Order
from shared.outbox import Outbox
from shared.settings import BrokerSettings
from shared.targets import Allowlist
from tests.stage.fake_action import FakeAction
from tests.unit.a_host import AGENT, ATTACKER, AHost, HostClock

OWN = "192.0.2.11"
MINE = "198.51.100.7"


def _automatic() -> Allowlist:
    return Allowlist.of([OWN], "this host's own address")


def admission(
    roles: Sequence[str] = (), automatic: Automatic = _automatic, actions: Mapping[str, Action] | None = None
) -> Admission:
    return Admission(
        AGENT,
        roles,
        actions or {"firewall-drop": FakeAction(HostClock())},
        allow=Allowlist.of(["198.51.100.0/24"], "agent.allow"),
        automatic=automatic,
    )


def delivered(body: bytes, key: str = f"agent.{AGENT}") -> Delivery:
    return Delivery(
        body=body,
        exchange="thwart.orders",
        routing_key=key,
        kind="order",
        message_id="m1",
        reason="",
        redelivered=False,
        queue="q",
        tag=1,
        connection=1,
    )


def judged(
    *orders: Order, roles: Sequence[str] = (), actions: Mapping[str, Action] | None = None
) -> list[Incoming | Rejected]:
    return read([delivered(codec.encode(order)) for order in orders], admission(roles, actions=actions))


def an_order(target: str = ATTACKER, **said: object) -> Order:
    fields = {
        "operation": "add",
        "action": "firewall-drop",
        "location": "all",
        "issued_at": 1.0,
        "deadline": 2.0,
        **said,
    }
    return Order(id="o1", target=target, **fields)


def test_an_order_comes_with_the_key_of_its_effect() -> None:
    """The action names it: two spellings of one address are one effect."""
    (one,) = judged(an_order(f"::ffff:{ATTACKER}"))
    assert isinstance(one, Incoming)
    assert (one.key, one.refusal) == (ATTACKER, "")


def test_what_is_protected_is_refused_with_the_entry() -> None:
    """An exempt order passes the host's own list, and nobody passes the automatic set."""
    refusals = [
        each.refusal for each in judged(an_order(MINE), an_order(MINE, exempt=True), an_order(OWN, exempt=True))
    ]
    assert refusals == [
        f"protected: {MINE} is protected by 198.51.100.0/24 (agent.allow)",
        "",
        f"protected: {OWN} is protected by {OWN} (this host's own address)",
    ]


def test_what_cannot_be_done_is_refused_with_the_reason() -> None:
    """An action that nobody here knows, a target that it can't take."""
    unknown, invalid = judged(an_order(action="make-coffee"), an_order("not an address"))
    assert unknown.refusal == "unknown-action: make-coffee"
    assert invalid.refusal.startswith("invalid-target: 'not an address'")


def test_what_a_package_brings_is_not_begun_without_an_end() -> None:
    """Whoever orders it like a script that just happens doesn't know that it is held, and could never lift it."""
    orders = [an_order(action="edge-block", deadline=deadline) for deadline in (61.0, 62.0)]
    once, held = judged(*orders, actions={"edge-block": FakeAction(HostClock())})
    assert isinstance(once, Incoming)
    assert once.refusal.startswith("unsupported: edge-block stays in force until something ends it")
    assert isinstance(held, Incoming)
    assert (held.key, held.refusal) == (ATTACKER, "")


def test_a_delete_is_taken_whatever_it_is_about() -> None:
    """Nobody is protected from being let go, and a tombstone needs no action."""
    (one,) = judged(an_order(MINE, operation="delete", action="make-coffee", lifts=("o0",)))
    assert isinstance(one, Incoming)
    assert one.refusal == ""


def test_an_order_for_others_is_set_aside_and_answered() -> None:
    """By name, or for servers; a server takes its own, and what is for all is for everyone."""
    web2, server = an_order(location="agent", agents=("web2",)), an_order(location="server")
    for each in judged(web2, server):
        assert isinstance(each, Rejected)
        assert (each.order_id, each.dead.reason) == ("o1", "malformed")
    mine = an_order(location="local", agents=("web2", AGENT))
    assert all(isinstance(each, Incoming) for each in judged(mine, server, an_order(), roles=["server"]))


def test_poison_goes_to_the_dead_letters_with_its_reason_and_is_answered_if_it_can_be() -> None:
    """The body is bounded, the routing key stays, and an id that can't be one is none."""
    bodies = [
        b"\xc1" * 100_000,
        msgpack.packb({"v": 9, "id": "newer"}),
        msgpack.packb({"v": 1, "id": ""}),
        msgpack.packb({"v": 1, "id": 7}),
        msgpack.packb({"v": 1, "id": "x" * 256}),
        b"x" * (codec.MAX_BODY + 1),
        codec.encode(an_order()),
    ]
    *poison, good = read([delivered(body, "all") for body in bodies], admission())
    assert [(each.order_id, each.dead.reason) for each in poison if isinstance(each, Rejected)] == [
        ("", "malformed"),
        ("newer", "unsupported-version"),
        ("", "malformed"),
        ("", "malformed"),
        ("", "malformed"),
        ("", "too-large"),
    ]
    assert {(len(each.dead.body) <= KEPT, each.dead.routing_key, each.dead.exchange) for each in poison} == {
        (True, "all", "thwart.dead")
    }
    assert isinstance(good, Incoming)


async def test_an_order_that_grows_over_the_limit_when_it_is_written_down_is_poison(tmp_path) -> None:
    """What it leaves out has a default, which the journal's copy has: the one byte too many ends no agent."""
    lean = {"v": 1, "id": "o1", "operation": "delete", "action": "a", "location": "all", "issued_at": 0, "deadline": 9}
    room = codec.MAX_BODY - len(msgpack.packb({**lean, "reason": "x" * 100_000})) + 100_000
    body = msgpack.packb({**lean, "reason": "x" * room})
    assert len(body) == codec.MAX_BODY
    (poison,) = read([delivered(body, "all")], admission())
    assert isinstance(poison, Rejected)
    assert (poison.order_id, poison.dead.reason) == ("o1", "too-large")


async def test_orders_wait_while_it_cannot_be_told_whom_to_spare(tmp_path, monkeypatch) -> None:
    """A host that can't be asked for its addresses ends no agent: they are taken as soon as it can."""
    monkeypatch.setattr("agent.inbox.PAUSE", 0.0)
    answers = [OSError("Too many open files"), OSError("Too many open files"), Allowlist()]

    def automatic() -> Allowlist:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    host, work = AHost(tmp_path), asyncio.Event()
    settings = BrokerSettings()
    inbox = Inbox(
        Consumer(settings, "test", [], []),
        "q",
        host.journal,
        admission(automatic=automatic),
        work=work,
        outbox=Outbox(host.store, Publisher(settings, "test", [])),
        metrics=AgentMetrics(),
        trouble=host.trouble,
    )
    await inbox._take([delivered(codec.encode(host.add()))])
    assert (work.is_set(), answers, str(host.trouble)) == (True, [], "")
    await host.turns()
    assert host.answers() == [("applied", "new")]
    host.close()


async def test_a_malformed_repeat_does_not_gainsay_the_answer_that_was_given(tmp_path) -> None:
    """A good order under that id has its own answer; the bad one goes to the dead letters alone."""
    host = AHost(tmp_path)
    await host.do(host.add("o1"))
    bad = read([delivered(msgpack.packb({"v": 1, "id": each})) for each in ("o1", "o2")], admission())
    await host.journal.take(bad)
    assert host.answers("o1") == [("applied", "new")]
    assert [status for status, _ in host.answers("o2")] == ["refused"]
    host.close()
