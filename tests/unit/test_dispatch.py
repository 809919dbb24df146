"""Orders that people give: written down with their messages, once, and lifted wherever they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from manager.actions import Term
from manager.by_hand import BLOCK, OrderRequest
from manager.ledger import orders
from manager.ledger.orders import Audience
from manager.ledger.views import Holder, OrderQuery, state_of
from shared.errors import InvalidTarget, ProtectedTarget, UnknownAgent
from shared.ids import digest
from tests.unit.a_manager import ATTACKER, MINE, START, a_manager, acknowledgement


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


async def test_a_block_is_stamped_and_ready_to_be_sent(manager):
    """A block by hand is in the ledger and in the outbox, with its end as the deadline."""
    await manager.hear("web1", "web2")
    order = await manager.block(timeout=600.0, reason="scans us")
    assert (order.issued_at, order.deadline, order.expires_at) == (START, START + 600, START + 600)
    ((key, sent),) = manager.confirm()
    assert (key, sent) == ("all", order)
    assert manager.woken == 1
    assert await manager.states(order) == {"web1": "waiting", "web2": "waiting"}


async def test_a_message_to_each_named_agent(manager):
    """An order for several agents goes out once to each, and expires in the broker at its deadline."""
    await manager.hear("web1", "web2")
    await manager.block(location="agent", agents=("web2", "web1"), timeout=60.0)
    assert [(row.routing_key, row.expires_at) for row in manager.outbox()] == [
        ("agent.web1", START + 60),
        ("agent.web2", START + 60),
    ]


async def test_until_lifted_has_thirty_days_to_start(manager):
    """An order without an end has a deadline all the same."""
    order = await manager.block(timeout=None)
    assert (order.expires_at, order.deadline) == (None, START + 30 * 86_400)


async def test_the_same_request_is_one_order(manager):
    """A retried request gets the order as it was written down, and nothing more is sent."""
    await manager.hear("web1")
    order = await manager.block("r1")
    manager.confirm()
    manager.clock.passed = 5.0
    wish = OrderRequest(request_id="r1", action=BLOCK, target=ATTACKER, location="all", term=Term(timeout=9.0))
    again = await manager.dispatch.order(wish)
    assert (again.orders, again.repeated) == ((order,), True)
    assert manager.outbox() == []


async def test_the_white_list_holds_for_people_too(manager):
    """A block of an address on the list, or of a network around it, is refused with the entry and the reason."""
    for address in (MINE, "198.51.100.0/24"):
        with pytest.raises(ProtectedTarget, match=rf"protected by {MINE} \(white_list\)"):
            await manager.block(address=address)
    assert manager.outbox() == []


async def test_what_is_no_address_is_refused(manager):
    """A host name is no target."""
    with pytest.raises(InvalidTarget):
        await manager.block(address="example.org")


async def test_an_unknown_agent_is_an_error_that_lists_the_known(manager):
    """A name that nobody goes by is refused, and the answer says who there is."""
    await manager.hear("web2", "web1")
    with pytest.raises(UnknownAgent, match=r"no agent is called web7; known agents: web1, web2"):
        await manager.block(location="agent", agents=("web1", "web7"))


async def test_server_orders_are_for_the_server_role(manager):
    """An order for `server` expects the agents on managers' hosts, and no other."""
    await manager.hear("web1")
    await manager.hear("manager1", roles=("server",))
    order = await manager.block(location="server")
    assert await manager.states(order) == {"manager1": "waiting"}


async def test_an_unblock_names_all_orders_on_its_target(manager):
    """One `delete` to `all` ends what is for all and what is for some, and nothing on another target."""
    await manager.hear("web1", "web2")
    everywhere, one = await manager.block("r1"), await manager.block("r2", location="agent", agents=("web1",))
    await manager.block("r3", address="203.0.113.10")
    manager.confirm()
    (delete,) = await manager.unblock()
    assert (delete.operation, delete.location, delete.target) == ("delete", "all", ATTACKER)
    assert set(delete.lifts) == {everywhere.id, one.id}
    assert [key for key, _ in manager.confirm()] == ["all"]
    assert {(await manager.story(each)).view.lifted_by for each in (everywhere, one)} == {delete.id}


async def test_an_unblock_goes_where_the_orders_are(manager):
    """Without an order for all, a `delete` goes to the agents named and to the servers, each naming its own."""
    await manager.hear("web1", "web2", "web3")
    await manager.hear("manager1", roles=("server",))
    some = await manager.block("r1", location="agent", agents=("web1", "web2"))
    servers = await manager.block("r2", location="server")
    manager.confirm()
    deletes = {order.location: order for order in await manager.unblock()}
    assert deletes["agent"].lifts == (some.id,)
    assert deletes["agent"].agents == ("web1", "web2")
    assert deletes["server"].lifts == (servers.id,)
    assert {key for key, _ in manager.confirm()} == {"agent.web1", "agent.web2", "server"}


async def test_an_unsent_order_is_cancelled_and_named_all_the_same(manager):
    """A block that the broker hasn't confirmed is taken back; the `delete` names it, for it may be on its way."""
    await manager.hear("web1")
    order = await manager.block()
    (delete,) = await manager.unblock()
    assert delete.lifts == (order.id,)
    assert [row.message_id for row in manager.outbox()] == [delete.id]
    assert await manager.states(order) == {"web1": "lifted"}
    await manager.answer(order, "web1", "applied")
    assert await manager.states(order) == {"web1": "applied"}, "it was on its way after all"


async def test_a_retried_unblock_is_one_delete(manager):
    """The same unblock twice is the same `delete`, though nothing is left to lift."""
    await manager.hear("web1")
    await manager.block()
    first = await manager.unblock("u1")
    assert await manager.unblock("u1") == first


async def test_what_is_being_lifted_is_not_lifted_again(manager):
    """While a `delete` is on its way, another unblock finds nothing to lift."""
    await manager.hear("web1")
    order = await manager.block()
    manager.confirm()
    await manager.answer(order, "web1")
    assert len(await manager.unblock("u1")) == 1
    assert await manager.unblock("u2") == ()


async def test_a_stored_order_is_never_changed(manager):
    """First writer wins by id: another body under the same id changes nothing and is not sent."""
    await manager.hear("web1")
    order = await manager.block()
    manager.confirm()
    other = replace(order, timeout=9.0, target="203.0.113.77")
    audience = Audience(known=("web1", "web2"))
    assert not manager.store.run_now(lambda connection: orders.put(connection, other, "r1", audience))
    assert manager.outbox() == []
    assert (await manager.story(order)).view.order == order
    assert await manager.states(order) == {"web1": "waiting"}


async def test_an_order_known_from_answers_alone_becomes_ours(manager):
    """A ledger that was lost hears answers before the same order is decided again; both end in one row."""
    await manager.hear("web1", "web2")
    order_id = digest("r1", "", "add", (), "all", (), ATTACKER)
    await manager.ledger.record([acknowledgement(order_id, "web1", "applied", START)])
    order = await manager.block("r1")
    assert order.id == order_id
    assert await manager.states(order) == {"web1": "applied", "web2": "waiting"}


async def test_what_has_ended_is_not_lifted(manager):
    """An unblock doesn't name orders whose time is up."""
    await manager.hear("web1")
    await manager.block("r1", timeout=60.0)
    later = await manager.block("r2", timeout=600.0)
    manager.clock.passed = 61.0
    (delete,) = await manager.unblock()
    assert delete.lifts == (later.id,)


async def test_a_dry_run_is_told_from_the_real_thing(manager):
    """A dry run goes out as one, and is neither a block in force nor something to lift."""
    await manager.hear("web1")
    order = await manager.block(dry_run=True)
    assert order.dry_run
    assert await manager.unblock() == ()
    await manager.answer(order, "web1", "simulated")
    assert (await manager.ledger.blocks(), await manager.unblock()) == ([], ())


async def test_blocks_are_what_agents_have_answered(manager):
    """A block is listed where an agent applied it, with its end, until it is told that it ended."""
    await manager.hear("web1", "web2")
    order = await manager.block(timeout=600.0)
    manager.confirm()
    await manager.answer(order, "web1", "applied")
    (block,) = await manager.ledger.blocks()
    assert block.target == ATTACKER
    held = {"agent_id": "web1", "order_id": order.id, "since": START, "until": START + 600}
    assert block.holders == (Holder(**held, lifting=False, response=""),)
    await manager.unblock()
    assert [holder.lifting for holder in (await manager.ledger.blocks())[0].holders] == [True]
    manager.clock.passed = 601.0
    assert await manager.ledger.blocks() == []


async def test_orders_are_listed_newest_first_and_filtered(manager):
    """A list of orders can be cut by state, target, agent and number."""
    await manager.hear("web1", "web2")
    made = []
    for number in range(5):
        manager.clock.passed = float(number)
        made.append(await manager.block(f"r{number}", address=f"203.0.113.{number + 1}"))
    one = await manager.block("r9", location="agent", agents=("web2",))
    await manager.answer(made[2], "web1")
    await manager.answer(made[2], "web2")

    async def ids(**query) -> list[str]:
        return [view.id for view in await manager.ledger.orders(OrderQuery(**query))]

    assert (await ids(limit=2))[-1] in (made[4].id, one.id)
    assert await ids(target="203.0.113.2") == [made[1].id]
    assert await ids(state="applied") == [made[2].id]
    assert await ids(agent="web1") == [order.id for order in reversed(made)]
    assert await ids(agent="web2", target=ATTACKER) == [one.id]


async def test_an_order_is_found_by_the_start_of_its_id(manager):
    """A person may shorten an id as long as it means one order."""
    order = await manager.block()
    story = await manager.ledger.order(order.id[:8])
    assert story is not None
    assert story.view.order == order
    assert await manager.ledger.order("zzz") is None


@given(st.booleans(), st.lists(st.sampled_from(["waiting", "applied", "failed", "ended"])))
def test_an_order_is_where_its_neediest_agent_is(sent, states):
    """An order with a failure shows it, and is ended only when every agent has ended it."""
    state = state_of(sent, states)
    if sent and "waiting" not in states and "failed" in states:
        assert state == "failed"
    if state == "ended":
        assert set(states) == {"ended"}
