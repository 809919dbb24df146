"""Who is silent for too long is gone: nothing is expected of it, and when it comes back it is sent what is in force."""

import pytest

from manager.broadcast import Broadcast
from manager.chronicle import Chronicle
from manager.gone import AGAIN, Gone
from manager.ledger import agents
from manager.metrics import Metrics
from manager.removal import Removal
from manager.roster import Roster
from shared.errors import AgentGone, Disconnected, LockHeld, StoreError
from tests.unit.a_manager import AManager, a_manager

AFTER, RETENTION = 3_600.0, 86_400.0


class Queues:
    """Says no as the broker would, or notes whose queue was deleted; `connection` numbers the manager's own."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.connection = 1

    async def drop(self, agent_id: str) -> None:
        self.dropped.append(agent_id)
        if agent_id in self.errors:
            raise self.errors[agent_id]


@pytest.fixture
def queues():
    return Queues()


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


def made(manager: AManager, queues: Queues, roster: Roster | None = None) -> Gone:
    roster = roster or manager.roster
    return Gone(
        roster,
        Removal(manager.store, roster, manager.catch_up, queues.drop),
        Chronicle(Metrics(), manager.clock, Broadcast(manager.clock)),
        manager.clock,
        after=AFTER,
        retention=RETENTION,
        connection=lambda: queues.connection,
    )


@pytest.fixture
async def gone(manager, queues):
    one = made(manager, queues)
    await one.sweep()
    return one


async def silent(manager: AManager, *ids: str) -> None:
    """They were heard of once, and web1 is heard of still."""
    await manager.hear("web1", *ids)
    manager.clock.passed += AFTER
    await manager.hear("web1")


def lives(manager: AManager) -> dict[str, str]:
    return {each.id: manager.roster.life(each) for each in manager.roster.agents()}


def written(manager: AManager) -> dict[str, bool]:
    return {each.id: each.gone_at is not None for each in manager.store.run_now(agents.load)}


async def test_nothing_more_is_expected_of_it(manager, queues, gone):
    """Not a moment before its time; then its open rows are withdrawn, its queue goes, and orders go to the others."""
    await manager.hear("web1", "web7")
    order = await manager.block(timeout=90_000.0)
    manager.clock.passed += AFTER - 0.1
    await manager.hear("web1")
    await gone.sweep()
    assert (lives(manager), queues.dropped) == ({"web1": "living", "web7": "silent"}, [])
    await manager.block("r2", address="192.0.2.1", location="agent", agents=("web7",), timeout=90_000.0)
    manager.clock.passed += 0.1
    await gone.sweep()
    assert (lives(manager), queues.dropped) == ({"web1": "living", "web7": "gone"}, ["web7"])
    assert written(manager) == {"web1": False, "web7": True}
    assert await manager.states(order) == {"web1": "waiting", "web7": "withdrawn"}
    assert {each.routing_key for each in manager.outbox()} == {"all"}
    assert await manager.states(await manager.block("r3", address="192.0.2.2")) == {"web1": "waiting"}
    await gone.sweep()
    assert queues.dropped == ["web7"]


async def test_an_order_by_hand_for_it_alone_is_refused(manager, gone):
    """With a sentence that says why, for it is no unknown name."""
    await silent(manager, "web7")
    await gone.sweep()
    with pytest.raises(AgentGone, match="gone, and sent nothing until heard of again: web7"):
        await manager.block(location="agent", agents=("web7",))


async def test_one_that_comes_back_is_sent_what_is_in_force(manager, gone):
    """What was given before, and what was given while it was gone."""
    await manager.hear("web1", "web7")
    before = await manager.block(timeout=90_000.0)
    manager.clock.passed += AFTER
    await manager.hear("web1")
    await gone.sweep()
    during = await manager.block("r2", address="192.0.2.1", timeout=90_000.0)
    manager.confirm()
    await manager.hear("web7", queue="new")
    assert {order.id for key, order in manager.confirm() if key == "agent.web7"} == {before.id, during.id}
    assert (await manager.states(before))["web7"] == (await manager.states(during))["web7"] == "waiting"
    assert (lives(manager)["web7"], written(manager)["web7"]) == ("living", False)


async def test_one_that_is_connected_is_not_taken_out(manager, queues, gone):
    """Whatever its heartbeats say; it is tried again after a minute, and holds up no other."""
    queues.errors["web7"] = LockHeld("held")
    await silent(manager, "web7", "web8")
    await gone.sweep()
    await gone.sweep()
    assert (lives(manager), queues.dropped) == ({"web1": "living", "web7": "silent", "web8": "gone"}, ["web7", "web8"])
    del queues.errors["web7"]
    manager.clock.passed += AGAIN
    await gone.sweep()
    assert lives(manager)["web7"] == "gone"


async def test_a_queue_that_can_not_be_deleted_holds_up_no_other(manager, queues, gone):
    """The sweep ends and says so in the log, the next one goes on with the others, and it is tried again later."""
    queues.errors["web7"] = Disconnected("refused")
    await silent(manager, "web7", "web8")
    await gone.sweep()
    await gone.sweep()
    await gone.sweep()
    assert (lives(manager), queues.dropped) == ({"web1": "living", "web7": "silent", "web8": "gone"}, ["web7", "web8"])
    del queues.errors["web7"]
    manager.clock.passed += AGAIN
    await gone.sweep()
    assert lives(manager)["web7"] == "gone"


@pytest.mark.parametrize("how", ["broker", "manager"])
async def test_silence_counts_only_while_this_manager_hears(manager, queues, gone, how):
    """After its own absence, or the broker's, everybody has as long as ever to be heard of."""
    await manager.hear("web1")
    manager.clock.passed += AFTER
    if how == "manager":
        gone = made(manager, queues)
    else:
        queues.connection = 0
        await gone.sweep()
        manager.clock.passed += AFTER
        await gone.sweep()
        assert queues.dropped == []
        queues.connection = 2
    await gone.sweep()
    assert lives(manager) == {"web1": "silent"}
    manager.clock.passed += AFTER
    await gone.sweep()
    assert lives(manager) == {"web1": "gone"}


@pytest.mark.parametrize("step", [2 * AFTER, -2 * AFTER])
async def test_a_clock_that_is_stepped_makes_nobody_gone_sooner_or_later(manager, queues, gone, step):
    """Silence is counted in seconds, and not between two readings of a clock that somebody sets."""
    await manager.hear("web7")
    manager.clock.passed += AFTER - 60
    await manager.hear("web1")
    await gone.sweep()
    manager.clock.step = step
    await gone.sweep()
    assert queues.dropped == []
    manager.clock.passed += 60
    await gone.sweep()
    assert queues.dropped == ["web7"]


async def test_who_is_back_before_an_earlier_run_is_finished_gets_what_it_lacks(manager, queues, gone, monkeypatch):
    """What is taken back of those who are gone is nothing that one of them has been sent since."""
    order = await manager.block(timeout=90_000.0)
    manager.confirm()
    await silent(manager, "web7")
    await gone.sweep()
    manager.store.run_now(lambda connection: connection.execute("UPDATE order_agents SET state = 'waiting'"))
    read, sent = manager.store.read, []

    async def back_then(work):
        found = await read(work)
        if work is agents.unfinished:
            await manager.hear("web7", queue="new")
            sent.extend(each.routing_key for each in manager.outbox())
        return found

    monkeypatch.setattr(manager.store, "read", back_then)
    await made(manager, queues).sweep()
    assert "agent.web7" in sent and sent == [each.routing_key for each in manager.outbox()]
    assert (await manager.states(order))["web7"] == "waiting"


async def test_one_that_can_not_be_forgotten_yet_is_tried_again_after_a_while(manager, queues, gone):
    """It is connected and says nothing: neither the log nor the broker hears of it every second."""
    await silent(manager, "web7")
    await gone.sweep()
    queues.errors["web7"] = LockHeld("held")
    manager.clock.passed += RETENTION + 1
    await manager.hear("web1")
    await gone.sweep()
    await gone.sweep()
    assert queues.dropped == ["web7", "web7"]
    del queues.errors["web7"]
    manager.clock.passed += AGAIN
    await gone.sweep()
    assert "web7" not in lives(manager)


async def test_while_the_broker_is_away_nobody_is_forgotten(manager, queues, gone):
    """It isn't asked every second, and the log stays readable."""
    await silent(manager, "web7")
    await gone.sweep()
    manager.clock.passed += RETENTION + 1
    queues.connection = 0
    await gone.sweep()
    assert queues.dropped == ["web7"]
    queues.connection = 2
    await gone.sweep()
    assert (queues.dropped, lives(manager)) == (["web7", "web7"], {"web1": "silent"})


async def test_who_is_gone_is_so_after_a_restart(manager, gone):
    """And no order expects it."""
    await silent(manager, "web7")
    await gone.sweep()
    anew = Roster(manager.store, manager.clock)
    assert [each.id for each in anew.agents() if anew.life(each) == "gone"] == ["web7"]
    assert anew.members().ids() == ("web1",)


@pytest.mark.parametrize("works", [0, 1])
@pytest.mark.parametrize("restarted", [False, True])
async def test_what_a_full_disk_cut_off_is_done_by_the_next_turn(manager, queues, gone, monkeypatch, works, restarted):
    """Before or between its transactions, and by the next run as well as by this one."""
    await manager.hear("web1", "web7")
    order = await manager.block(timeout=90_000.0)
    manager.clock.passed += AFTER
    await manager.hear("web1")
    run, left = manager.store.run, works

    async def full_after(work):
        nonlocal left
        if not left:
            raise StoreError("the disk is full")
        left -= 1
        return await run(work)

    with monkeypatch.context() as full:
        full.setattr(manager.store, "run", full_after)
        with pytest.raises(StoreError):
            await gone.sweep()
    if restarted:
        gone = made(manager, queues, Roster(manager.store, manager.clock))
        manager.clock.passed += 1
        await gone.sweep()
        manager.clock.passed += AFTER
    await gone.sweep()
    assert (await manager.states(order))["web7"] == "withdrawn"
    assert written(manager)["web7"]


async def test_who_was_gone_for_as_long_as_anything_is_kept_is_forgotten(manager, gone):
    """Else replicas that come and go would stay in the roster for ever."""
    await silent(manager, "web7")
    await gone.sweep()
    manager.clock.passed += RETENTION
    await manager.hear("web1")
    await gone.sweep()
    assert lives(manager) == {"web1": "living", "web7": "gone"}
    manager.clock.passed += 0.1
    await gone.sweep()
    assert (lives(manager), set(written(manager))) == ({"web1": "living"}, {"web1"})
