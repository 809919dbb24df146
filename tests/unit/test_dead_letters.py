"""Dead letters in the ledger: kept with the reason, bounded, and a hint about the order that died."""

import pytest
from msgspec.structs import replace

from manager.ledger.dead_letters import KEPT, MOST, WORDS, Undelivered
from manager.ledger.views import DeadLetter
from manager.senders import Senders
from tests.unit.a_manager import START, a_manager


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


LETTER = DeadLetter(
    at=START,
    reason="malformed",
    detail="not MessagePack",
    exchange="thwart.dead",
    routing_key="all",
    kind="order",
    message_id="1",
    sender="thwart",
    died_in="thwart.agent.web1",
    size=3,
    body=b"\x00\xff\n",
)


async def test_a_dead_letter_is_kept_as_it_was(manager):
    """Every field comes back, the newest first, of one reason or of all."""
    forged = replace(LETTER, reason="forged-sender", at=START + 1)
    await manager.ledger.bury([LETTER, forged], [])
    assert await manager.ledger.dead_letters(None, 10) == [forged, LETTER]
    assert await manager.ledger.dead_letters("malformed", 10) == [LETTER]
    assert await manager.ledger.dead_letters(None, 1) == [forged]


async def test_what_its_sender_wrote_is_cut(manager):
    """Neither a body nor a word of it takes more room than it may."""
    huge = replace(LETTER, body=b"x" * 10 * KEPT, detail="d" * 10_000, routing_key="k" * 255, message_id="m" * 10_000)
    await manager.ledger.bury([huge], [])
    (kept,) = await manager.ledger.dead_letters(None, 1)
    assert (len(kept.body), len(kept.detail), len(kept.message_id)) == (KEPT, WORDS, WORDS)


async def test_a_flood_pushes_out_only_its_own_kind(manager):
    """The oldest of the same reason go; another reason's stay."""
    await manager.ledger.bury([replace(LETTER, reason="forged-sender")], [])
    for start in range(0, MOST + 500, 500):
        flood = [replace(LETTER, message_id=str(number)) for number in range(start, start + 500)]
        await manager.ledger.bury(flood, [])
    kept = await manager.ledger.dead_letters("malformed", 10 * MOST)
    assert [each.message_id for each in kept] == [str(number) for number in range(MOST + 499, 499, -1)]
    assert len(await manager.ledger.dead_letters("forged-sender", 10)) == 1


async def test_old_ones_are_forgotten(manager):
    """They go with everything else that is past its retention."""
    await manager.ledger.bury([LETTER, replace(LETTER, at=START + 60)], [])
    manager.clock.passed = 30 * 86_400.0 + 30
    await manager.ledger.forget_old()
    assert [each.at for each in await manager.ledger.dead_letters(None, 10)] == [START + 60]


async def test_an_order_that_expired_in_a_queue_is_stale_there_alone(manager):
    """It settles that order on that agent; an answer that comes yet still wins."""
    await manager.hear("web1", "web2")
    order = await manager.block(timeout=60.0)
    manager.confirm()
    manager.clock.passed = 60.0
    lapsed = await manager.ledger.bury([], [_undelivered(order, "web1", "expired")])
    assert (lapsed.count, lapsed.closed) == (1, ())
    assert (await manager.states(order))["web1"] == "stale"
    assert (await manager.states(order))["web2"] != "stale"
    lapsed = await manager.ledger.bury([], [_undelivered(order, "web2", "expired")])
    assert [each.order_id for each in lapsed.closed] == [order.id]
    await manager.answer(order, "web1")
    assert (await manager.states(order))["web1"] == "applied"


async def test_what_has_not_expired_is_not_stale_because_somebody_says_so(manager):
    """A letter about an order that has time left, or was sent again with a later deadline, settles nothing."""
    await manager.hear("web1")
    order = await manager.block(timeout=600.0)
    manager.confirm()
    await manager.ledger.bury([], [_undelivered(order, "web1", "expired")])
    assert await manager.states(order) == {"web1": "waiting"}


async def test_what_died_otherwise_is_waited_for_with_a_note(manager):
    """`undelivered` is no state: the order is sent again to an agent that lives."""
    await manager.hear("web1")
    order = await manager.block()
    manager.confirm()
    await manager.ledger.bury([], [_undelivered(order, "web1", "maxlen")])
    (agent,) = (await manager.story(order)).view.agents
    assert (agent.state, agent.note) == ("waiting", "undelivered: maxlen")
    manager.clock.passed = 11.0
    await manager.hear("web1")
    await manager.catch_up.tick()
    assert order.id in [sent.id for _, sent in manager.confirm()]


async def test_a_letter_about_an_answered_or_unknown_order_settles_nothing(manager):
    """What an agent answered stays, and a letter about nothing is only kept."""
    await manager.hear("web1", "web2")
    order = await manager.block(location="agent", agents=("web1",))
    await manager.answer(order, "web1")
    strangers = [_undelivered(order, "web2", "maxlen"), Undelivered(order_id="x", agent_id="web1", reason="expired")]
    await manager.ledger.bury([LETTER], [_undelivered(order, "web1", "malformed"), *strangers])
    (agent,) = (await manager.story(order)).view.agents
    assert (agent.state, agent.note) == ("applied", "")


async def test_a_login_that_is_an_agents_speaks_for_that_agent_alone(manager):
    """Any other may be shared; so may our own, though an agent goes by that name."""
    await manager.hear("web1", "web2", "thwart")
    senders = Senders(manager.roster, {"thwart"})
    assert senders.may_speak("web1", "web1")
    assert not senders.may_speak("web1", "web2")
    assert senders.may_speak("shared", "web2")
    assert senders.may_speak("", "web2")
    assert senders.may_speak("thwart", "web2")
    assert senders.is_ours("thwart") and not senders.is_ours("") and not senders.is_ours("web1")


def _undelivered(order, agent, reason):
    return Undelivered(order_id=order.id, agent_id=agent, reason=reason)
