"""What an agent says of itself, and that managers take it however much there is to say."""

import asyncio
from types import SimpleNamespace

import pytest

from agent import heartbeat as module
from agent.heartbeat import SHORT, Heartbeats, fitting
from shared import codec
from tests.unit.a_manager import heartbeat
from tests.waiting import eventually

ACTIONS = {"firewall-drop": "nftables"}
WHY = "others than its owner can write to /etc/thwart/scripts/it: chmod go-w /etc/thwart/scripts/it " * 3


def named(count: int, length: int, said: str) -> dict[str, str]:
    return {f"{number:03}".ljust(length, "x"): said for number in range(count)}


def test_what_is_of_a_usual_size_is_said_whole() -> None:
    """Every reason as it is."""
    said = heartbeat("web1", actions=ACTIONS, unsupported=named(20, 20, WHY), passed_over={"firewall-drop": WHY})
    assert fitting(said) == said


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"actions": ACTIONS, "unsupported": named(200, 100, WHY)}, {"actions", "unsupported"}),
        ({"actions": ACTIONS, "unsupported": named(200, 255, WHY)}, {"actions"}),
        ({"actions": named(300, 255, "script")}, set()),
        ({"addresses": tuple(f"2001:db8::{number:x}:1" for number in range(5_000)), "trouble": WHY * 100}, set()),
    ],
)
def test_an_agent_with_much_to_say_is_heard_of_all_the_same(said, kept) -> None:
    """Managers take no heartbeat over a limit: a folder of scripts that can't be used would make a host silent."""
    told = fitting(heartbeat("web1", **said))
    assert len(codec.encode(told)) <= codec.MAX_HEARTBEAT
    assert {name for name in ("actions", "unsupported", "addresses") if getattr(told, name)} == kept
    assert all(len(why) <= SHORT for why in told.unsupported.values())
    assert ("more than can be said" in told.trouble) is (not kept)


async def test_one_that_the_broker_never_confirms_does_not_end_the_looking(monkeypatch) -> None:
    """The queue of heartbeats has no leader for a while: the next one is sent on time, and the metrics are kept up."""
    sent, looks = [], []

    def send(publication):
        sent.append(publication)
        return asyncio.get_running_loop().create_future()

    async def nothing(*_):
        return 0

    async def said(*_, **__):
        return heartbeat("web1")

    monkeypatch.setattr(Heartbeats, "_heartbeat", said)
    monkeypatch.setattr(module, "EVERY", 0.01)
    up = asyncio.Event()
    up.set()
    one = Heartbeats(
        me=None,
        journal=SimpleNamespace(effects=nothing, outlived=nothing, unsent=nothing),
        admission=None,
        publisher=SimpleNamespace(send=send, blocked=False, connected=up, connections=1),
        consumer=SimpleNamespace(connected=up, connections=1, lock_refused_since=None, queues_made=frozenset({"q"})),
        queue="q",
        clock=None,
        drift=lambda: 0,
        actions=None,
        slow=None,
        metrics=SimpleNamespace(seen=lambda **_: looks.append(None)),
        trouble=None,
    )
    running = asyncio.create_task(one.run())
    await eventually(lambda: len(sent) > 2)
    running.cancel()
    assert len(looks) > 2
