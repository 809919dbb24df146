"""An agent that is removed: nothing more is expected of it, and when it comes back it is sent what is in force."""

import pytest

from manager.ledger import agents
from manager.removal import Removal
from shared.errors import AgentLiving, Disconnected, LockHeld, StoreError, UnknownAgent
from tests.unit.a_manager import AManager, a_manager


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


class Queues:
    """Says no as the broker would, or notes whose queue was deleted."""

    def __init__(self) -> None:
        self.gone: list[str] = []
        self.error: Exception | None = None

    async def drop(self, agent_id: str) -> None:
        if self.error:
            raise self.error
        self.gone.append(agent_id)


@pytest.fixture
def queues():
    return Queues()


@pytest.fixture
def removal(manager, queues):
    return Removal(manager.store, manager.roster, manager.catch_up, queues.drop)


async def silent(manager: AManager, *agents: str) -> None:
    await manager.hear(*agents)
    manager.clock.passed += 60


async def test_nothing_more_is_expected_of_it(manager, removal, queues):
    """Its open rows are withdrawn, what is unsent to it alone goes, its queue goes, and orders go to the others."""
    await silent(manager, "web1", "gone")
    held = await manager.block()
    manager.confirm()
    await manager.answer(held, "gone")
    await manager.block("r2", address="192.0.2.1", location="agent", agents=("gone",))
    removed = await removal.remove("gone")
    assert (removed.count, queues.gone) == (2, ["gone"])
    assert manager.outbox() == []
    assert await manager.states(held) == {"web1": "waiting", "gone": "withdrawn"}
    assert [each.target for each in await manager.ledger.blocks()] == []
    assert await manager.states(await manager.block("r3", address="192.0.2.2")) == {"web1": "waiting"}
    with pytest.raises(UnknownAgent):
        await removal.remove("gone")


async def test_a_living_one_is_refused(manager, removal, queues):
    """By its heartbeat or, when that is not heard, by the lock that it holds; and nothing is changed."""
    await manager.hear("web1")
    order = await manager.block()
    with pytest.raises(AgentLiving, match="stop it first"):
        await removal.remove("web1")
    manager.clock.passed += 60
    for error, wanted in ((LockHeld("held"), AgentLiving), (Disconnected("gone"), Disconnected)):
        queues.error = error
        with pytest.raises(wanted):
            await removal.remove("web1")
    assert await manager.states(order) == {"web1": "waiting"}
    assert manager.roster.get("web1")


async def test_one_that_comes_back_is_new_and_is_sent_what_is_in_force(manager, removal):
    """What was for all, what named it, and the lift of what was lifted while it was away."""
    await silent(manager, "web1", "back")
    everywhere = await manager.block(timeout=6_000.0)
    named = await manager.block("r2", address="192.0.2.1", location="agent", agents=("back",), timeout=6_000.0)
    lifted = await manager.block("r3", address="192.0.2.2", location="agent", agents=("back",), timeout=6_000.0)
    manager.confirm()
    for order in (named, lifted):
        await manager.answer(order, "back")
    await removal.remove("back")
    (delete,) = await manager.unblock(address="192.0.2.2")
    manager.confirm()
    await manager.hear("back")
    sent = {order.id for key, order in manager.confirm() if key == "agent.back"}
    assert sent == {everywhere.id, named.id, delete.id}
    assert await manager.states(named) == {"back": "applied"}
    await manager.answer(everywhere, "back")
    assert (await manager.states(everywhere))["back"] == "applied"


async def test_one_that_comes_back_meanwhile_is_not_removed(manager, removal, queues):
    """It was heard of while its queue was deleted: nothing of it is withdrawn, and who asked is told."""
    await silent(manager, "web1")
    order = await manager.block()
    manager.confirm()
    drop = queues.drop

    async def back(agent_id: str) -> None:
        await drop(agent_id)
        await manager.hear("web1", queue="new")

    removal._drop_queue = back
    with pytest.raises(AgentLiving, match="just now"):
        await removal.remove("web1")
    assert await manager.states(order) == {"web1": "waiting"}


async def test_one_that_comes_back_between_two_transactions_is_expected_to_answer(manager, removal, monkeypatch):
    """However far the removal came: what is in force is sent to it, and the rest of it isn't withdrawn any more."""
    monkeypatch.setattr(agents, "SOME", 1)
    await silent(manager, "web1")
    blocks = [await manager.block(f"r{number}", address=f"192.0.2.{number}", timeout=6_000.0) for number in (1, 2, 3)]
    manager.confirm()
    run, ran = manager.store.run, 0

    async def back_after_two(work):
        nonlocal ran
        result, ran = await run(work), ran + 1
        if ran == 2:
            await manager.hear("web1", queue="new")
        return result

    monkeypatch.setattr(manager.store, "run", back_after_two)
    await removal.remove("web1")
    assert {order.id for _, order in manager.confirm()} == {each.id for each in blocks}
    assert [await manager.states(each) for each in blocks] == [{"web1": "waiting"}] * 3
    assert manager.store.run_now(lambda connection: connection.execute("SELECT id FROM agents").fetchall())


async def test_an_order_that_is_given_meanwhile_does_not_expect_it(manager, removal, monkeypatch):
    """From the first transaction of a removal on nothing is for it, so nothing stays open when it is through."""
    await silent(manager, "web1", "gone")
    run, given = manager.store.run, []

    async def block_in_between(work):
        result = await run(work)
        if not given:
            given.append(None)
            given[0] = await manager.block()
        return result

    monkeypatch.setattr(manager.store, "run", block_in_between)
    await removal.remove("gone")
    assert await manager.states(given[0]) == {"web1": "waiting"}


@pytest.mark.parametrize("works", [0, 1])
async def test_what_a_full_disk_cut_off_can_be_asked_for_again(manager, removal, monkeypatch, works):
    """Before or between its transactions: the second time it is removed whole."""
    await silent(manager, "web1")
    order = await manager.block()
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
            await removal.remove("web1")
    assert (await removal.remove("web1")).count == 1
    assert await manager.states(order) == {"web1": "withdrawn"}
    with pytest.raises(UnknownAgent):
        await removal.remove("web1")


async def test_what_memory_knows_of_it_is_not_written_down_again(manager, removal):
    """A heartbeat that was heard and not yet written does not bring it back over a restart."""
    await silent(manager, "web1")
    await removal.remove("web1")
    await manager.roster.write_behind()
    assert manager.store.run_now(lambda connection: connection.execute("SELECT * FROM agents").fetchall()) == []


async def test_what_catch_up_had_yet_to_write_of_it_is_dropped(manager, removal, monkeypatch):
    """A first heartbeat that the ledger had no room for is not written down once its agent was removed."""
    with monkeypatch.context() as full:
        full.setattr(manager.store, "run", _full)
        with pytest.raises(StoreError):
            await manager.hear("web1")
    manager.clock.passed += 60
    await removal.remove("web1")
    await manager.hear("web2")
    rows = manager.store.run_now(lambda connection: connection.execute("SELECT id FROM agents").fetchall())
    assert [row["id"] for row in rows] == ["web2"]


async def _full(_: object) -> None:
    raise StoreError("the disk is full")
