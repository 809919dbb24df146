"""Files of addresses: what is read out of them, and many orders at once that are done once, however they are parted."""

import pytest
from msgspec.structs import replace

from manager.actions import Term
from manager.by_hand import BLOCK, OrderRequest
from manager.cli.many import Line, read
from manager.lifting import Lifting
from manager.many import Many
from shared.errors import UnknownAgent
from tests.unit.a_manager import MINE, a_manager

ADDRESSES = [f"203.0.113.{number}" for number in range(1, 101)]
LIST = OrderRequest(request_id="list-of-today", action=BLOCK, location="all", term=Term(timeout=600.0), issuer="ann")


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


@pytest.fixture
def many(manager):
    return Many(manager.store, manager.roster, manager.clock, allowlist=manager.policy.allowlist, wake=lambda: None)


def test_a_file_is_read_line_by_line():
    """Comments and blank lines are passed over, an address comes once however it is spelt, and a bad line is told."""
    lines = [
        "\ufeff203.0.113.9",
        "",
        "# of today",
        "203.0.113.9/32 # again",
        "2001:DB8::1",
        "web1.example",
        "1.2.3.4.5",
    ]
    good = [(each.number, each.text) for each in read(lines) if not each.why]
    bad = [each for each in read(lines) if each.why]
    assert good == [(1, "203.0.113.9"), (5, "2001:db8::1")]
    assert [each.number for each in bad] == [6, 7]
    assert "names aren't looked up" in bad[0].why
    assert isinstance(bad[1], Line)


async def test_each_address_is_one_order(manager, many):
    """Each is written down with whom it is for, and sent."""
    await manager.hear("web1", "web2")
    done = await many.order(LIST, ADDRESSES)
    assert (done.taken, len(done.orders), done.repeated, done.declined) == (100, 100, 0, ())
    assert len({key for key, _ in manager.confirm()}) == 1
    assert await manager.states(done.orders[7]) == {"web1": "waiting", "web2": "waiting"}


async def test_a_run_that_was_cut_off_goes_on_where_it_was(manager, many):
    """The same request id finds what is done, also in other parts, and adds nothing to it."""
    await manager.hear("web1")
    await many.order(LIST, ADDRESSES[:30])
    done = await many.order(LIST, ADDRESSES[10:])
    assert (len(done.orders), done.repeated) == (70, 20)
    assert len(manager.confirm()) == 100


async def test_what_was_only_tried_is_not_taken_for_done(manager, many):
    """The request id of a dry run doesn't serve for the run itself, and nobody is told that all is done already."""
    await manager.hear("web1")
    await many.order(replace(LIST, dry_run=True), ADDRESSES[:2])
    done = await many.order(LIST, ADDRESSES[:3])
    assert (len(done.orders), done.repeated) == (1, 0)
    assert [each.address for each in done.declined] == ADDRESSES[:2]
    assert "--dry-run" in done.declined[0].why


async def test_what_is_protected_is_declined_alone(manager, many):
    """The others are blocked, and why this one is not is told."""
    done = await many.order(LIST, [ADDRESSES[0], MINE, "127.0.0.1"])
    assert [each.target for each in done.orders] == [ADDRESSES[0]]
    assert [each.address for each in done.declined] == [MINE, "127.0.0.1"]
    assert "protected by" in done.declined[0].why


async def test_an_unknown_agent_refuses_the_whole(manager, many):
    """Nothing is ordered for a name that nobody goes by."""
    await manager.hear("web1")
    with pytest.raises(UnknownAgent):
        await many.order(replace(LIST, location="agent", agents=("web7",)), ADDRESSES)
    assert manager.outbox() == []


async def test_they_wait_while_the_manager_is_paused(manager, many):
    """Like a single block by hand: on hold, and said so."""
    await manager.hear("web1")
    await manager.panic.pause("ann", "")
    done = await many.order(LIST, ADDRESSES[:3])
    assert done.on_hold
    assert len(manager.held()) == 3


@pytest.mark.parametrize(("span", "pieces"), [(60.0, 1), (0.0, 100)])
async def test_the_writer_is_had_in_pieces(manager, many, monkeypatch, span, pieces):
    """No longer at a time than is set, however large the fleet, and one address at least: others get their turn."""
    monkeypatch.setattr("manager.many.PIECE", span)
    await manager.hear("web1")
    ran, run = [], manager.store.run
    manager.store.run = lambda work: ran.append(work) or run(work)
    await many.order(LIST, ADDRESSES)
    assert len(ran) == pieces
    done = await many.unblock(Lifting(request_id="u1"), ADDRESSES)
    assert (len(ran), len(done.orders)) == (2 * pieces, 100)


async def test_many_are_lifted_at_once(manager, many):
    """One delete for each target that is blocked; what isn't blocked is no error, and asking again lifts nothing."""
    await manager.hear("web1")
    await many.order(LIST, ADDRESSES)
    wish = Lifting(request_id="u1")
    done = await many.unblock(wish, [*ADDRESSES, "192.0.2.1"])
    assert (done.taken, len(done.orders)) == (101, 100)
    assert (await many.unblock(wish, ADDRESSES)).orders == ()
