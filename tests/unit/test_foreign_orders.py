"""Orders of other correlators in the ledger: once they have been seen they are orders like any other."""

import asyncio

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from manager.broadcast import Broadcast
from manager.chronicle import Chronicle
from manager.foreign import Orders
from manager.ledger.foreign import Given
from manager.ledger.orders import UNTIL_LIFTED, is_lasting
from manager.ledger.views import FOREIGN, OrderQuery
from manager.metrics import Metrics
from manager.senders import Senders
from shared import codec, topology
from shared.broker import Delivery
from shared.messages import Order
from tests.unit.a_manager import ATTACKER, START, a_manager, acknowledgement, expiry
from tests.waiting import eventually

_FULL = "CREATE TRIGGER full BEFORE INSERT ON orders BEGIN SELECT RAISE(ABORT, 'full'); END"


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


def an_order(order_id="siem-1", timeout=600.0, **said) -> Order:
    fields = {
        "operation": "add",
        "action": "firewall-drop",
        "location": "all",
        "target": ATTACKER,
        "issued_at": START,
        "deadline": START + (timeout or UNTIL_LIFTED),
        "timeout": timeout,
        "expires_at": None if timeout is None else START + timeout,
        "issuer": "siem",
        **said,
    }
    return Order(id=order_id, **fields)


def a_delete(*lifts, order_id="siem-delete", **said) -> Order:
    return an_order(order_id, None, operation="delete", lifts=lifts, **said)


class _Queue:
    """The manager's queue with one order in it."""

    def __init__(self, order):
        self._order, self._taken, self.acked = order, False, asyncio.Event()

    async def batch(self, queue, at_most=0):
        if self._taken:
            await asyncio.Event().wait()
        self._taken = True
        about = {"exchange": topology.ORDERS, "routing_key": "all", "kind": "order", "message_id": self._order.id}
        where = {"reason": "", "redelivered": False, "queue": queue, "tag": 1, "connection": 1}
        return [Delivery(body=codec.encode(self._order), **about, **where)]

    def ack_through(self, delivery):
        self.acked.set()


def _orders(manager, consumer):
    senders, chronicle = Senders(manager.roster, ()), Chronicle(Metrics(), manager.clock, Broadcast(manager.clock))
    return Orders(consumer, manager.ledger, manager.roster, senders, None, None, chronicle)


async def seen(manager, order):
    """The broker carries it past the manager."""
    audience = manager.roster.members().audience(order.location, order.agents)
    given = Given(order=order, body=codec.encode(order), audience=audience, lasting=is_lasting(order))
    (admitted,) = await manager.ledger.admit([given])
    return admitted


async def test_it_is_in_the_ledger_whole(manager):
    """Body, audience, end and answers are there, and nothing is sent for it."""
    await manager.hear("web1", "web2")
    order = an_order()
    assert (await seen(manager, order)).outcome == "taken"
    view = (await manager.story(order)).view
    assert (view.order, view.origin, view.state) == (order, FOREIGN, "waiting")
    assert await manager.states(order) == {"web1": "waiting", "web2": "waiting"}
    assert manager.outbox() == []
    await manager.answer(order, "web1")
    (block,) = await manager.ledger.blocks()
    assert [(holder.agent_id, holder.until) for holder in block.holders] == [("web1", START + 600)]


async def test_what_was_answered_before_it_was_seen_counts(manager):
    """Answers and ends that overtake the order make a foreign row; with the order come its body and its states."""
    await manager.hear("web1", "web2", "web3")
    order = an_order(location="agent", agents=("web1", "web2"))
    answers = [acknowledgement(order.id, agent, "applied", START) for agent in ("web1", "web2", "web3")]
    recorded = await manager.ledger.record([*answers, expiry(order.id, "web2", START + 1)])
    assert recorded.foreign == (order.id,)
    assert (await manager.story(order)).view.order is None
    await seen(manager, order)
    story = await manager.story(order)
    assert story.view.order == order
    assert await manager.states(order) == {"web1": "applied", "web2": "ended"}
    assert [said.agent_id for said in story.history if not said.expected] == ["web3"]
    (block,) = await manager.ledger.blocks()
    assert [(holder.agent_id, holder.until) for holder in block.holders] == [("web1", START + 600)]


async def test_our_own_coming_by_changes_nothing(manager):
    """The echo of an order of ours is known by its bytes; one that was sent again with a new deadline by its id."""
    await manager.hear("web1")
    order = await manager.block(timeout=None)
    (row,) = manager.outbox()
    assert await manager.ledger.known([(row.message_id, row.body), ("other", row.body)]) == {order.id}
    again = replace(order, deadline=order.deadline + 60)
    assert await manager.ledger.known([(order.id, codec.encode(again))]) == set()
    assert (await seen(manager, again)).outcome == "known"
    assert (await manager.story(order)).view.order == order


async def test_the_first_writer_of_an_id_wins(manager):
    """Another order under a known id is told apart, and leaves the first as it is."""
    await manager.hear("web1")
    first, second = an_order(), an_order(target="203.0.113.77")
    await seen(manager, first)
    assert (await seen(manager, second)).outcome == "clash"
    assert (await manager.story(first)).view.order == first
    own = await manager.block()
    assert (await seen(manager, an_order(own.id, target="203.0.113.77"))).outcome == "clash"
    assert (await manager.story(own)).view.order == own


async def test_an_agent_that_nobody_knows_makes_it_unroutable(manager):
    """A name that is not in the roster is said, and expected once an agent comes by that name."""
    await manager.hear("web1")
    order = an_order(location="agent", agents=("web1", "nobody"))
    assert (await seen(manager, order)).unknown == ("nobody",)
    assert await manager.states(order) == {"web1": "waiting", "nobody": "unroutable"}
    await manager.hear("nobody")
    assert (await manager.states(order))["nobody"] == "waiting"
    assert [(key, sent) for key, sent in manager.confirm() if key == "agent.nobody"] == [("agent.nobody", order)]


async def test_one_for_nobody_is_unroutable(manager):
    """An order for servers, of which there is none, is found by that word."""
    await manager.hear("web1")
    order = an_order(location="server")
    await seen(manager, order)
    (view,) = await manager.ledger.orders(OrderQuery(state="unroutable"))
    assert view.id == order.id


async def test_who_joins_while_it_is_in_force_gets_it(manager):
    """An agent that comes later is sent it, with the end that it had."""
    order = an_order()
    await seen(manager, order)
    await manager.hear("web9")
    assert [(key, sent) for key, sent in manager.confirm() if isinstance(sent, Order)] == [("agent.web9", order)]


async def test_who_joins_while_the_disk_is_full_is_expected_too(manager):
    """Whom an order is for is asked each time that the ledger is tried, and not when the message came."""
    await manager.hear("web1")
    manager.store.run_now(lambda c: c.execute(_FULL))
    order = an_order()
    consumer = _Queue(order)
    with capture_logs() as said:
        listening = asyncio.create_task(_orders(manager, consumer).run())
        await eventually(lambda: [each for each in said if each.get("action") == "store_retry"])
    await manager.hear("web2")
    manager.store.run_now(lambda c: c.execute("DROP TRIGGER full"))
    await asyncio.wait_for(consumer.acked.wait(), 10)
    listening.cancel()
    assert await manager.states(order) == {"web1": "waiting", "web2": "waiting"}


async def test_what_an_agent_has_from_a_package_lasts_whatever_its_deadline(manager):
    """As what is built in does: it is shown, sent again, and lifted by its target."""
    await manager.hear("web1", actions={"edge-block": "edge"})
    order = an_order(timeout=None, deadline=START + 30, action="edge-block")
    consumer = _Queue(order)
    listening = asyncio.create_task(_orders(manager, consumer).run())
    await asyncio.wait_for(consumer.acked.wait(), 10)
    listening.cancel()
    await manager.answer(order, "web1")
    assert [each.action for each in await manager.ledger.blocks()] == ["edge-block"]
    assert [lift.lifts for lift in await manager.unblock()] == [(order.id,)]


async def test_an_agent_that_leaves_it_unanswered_is_sent_it_again(manager):
    """A living agent that lost it gets it once more, like one of ours."""
    await manager.hear("web1")
    manager.confirm()
    order = an_order()
    await seen(manager, order)
    manager.clock.passed = 15.0
    await manager.catch_up.tick()
    assert manager.confirm() == [("agent.web1", order)]


async def test_its_holders_agree_with_the_fingerprint(manager):
    """An agent that holds it is not taken for one that holds too much."""
    await manager.hear("web1")
    manager.confirm()
    order = an_order()
    await seen(manager, order)
    await manager.answer(order, "web1")
    for passed in (10.0, 20.0, 30.0):
        manager.clock.passed = passed
        await manager.hear("web1", holds=(order.id,))
    assert manager.outbox() == []


async def test_unblock_lifts_it(manager):
    """A person's word ends it as it ends one of ours."""
    await manager.hear("web1")
    order = an_order()
    await seen(manager, order)
    await manager.answer(order, "web1")
    (delete,) = await manager.unblock()
    assert (delete.lifts, delete.location) == ((order.id,), "all")
    assert (await manager.story(order)).view.lifted_by == delete.id


@pytest.mark.parametrize("spelt", ["203.0.113.9/32", " 203.0.113.9", "::ffff:203.0.113.9"])
async def test_its_target_is_found_however_it_is_spelt(manager, spelt):
    """What agents take for one address is one here too."""
    await manager.hear("web1")
    order = an_order(target=spelt)
    await seen(manager, order)
    await manager.answer(order, "web1")
    assert [view.id for view in await manager.ledger.orders(OrderQuery(target=ATTACKER))] == [order.id]
    assert [block.target for block in await manager.ledger.blocks()] == [ATTACKER]
    (delete,) = await manager.unblock()
    assert (delete.lifts, delete.target) == ((order.id,), ATTACKER)


async def test_a_foreign_delete_marks_what_it_lifts(manager):
    """A delete of another correlator's ends an order of ours: nobody is sent it, unblock finds nothing."""
    await manager.hear("web1")
    manager.confirm()
    order = await manager.block()
    manager.confirm()
    await manager.answer(order, "web1")
    delete = a_delete(order.id)
    admitted = await seen(manager, delete)
    assert admitted.lifted == (order,)
    assert (await manager.story(order)).view.lifted_by == delete.id
    assert await manager.unblock() == ()
    await manager.hear("web2")
    assert [sent.id for _, sent in manager.confirm() if isinstance(sent, Order)] == [delete.id]


@pytest.mark.parametrize(
    ("where", "delete", "ends"),
    [
        ({"location": "all"}, {"location": "agent", "agents": ("web1", "web2")}, False),
        ({"location": "agent", "agents": ("web1", "web2")}, {"location": "agent", "agents": ("web1",)}, False),
        ({"location": "agent", "agents": ("web1",)}, {"location": "agent", "agents": ("web2", "web1")}, True),
        ({"location": "agent", "agents": ("web1",)}, {"location": "server"}, False),
        ({"location": "server"}, {"location": "server"}, True),
        ({"location": "server"}, {"location": "agent", "agents": ("web1",)}, False),
        ({"location": "all"}, {"location": "all"}, True),
        ({"location": "all"}, {"location": "all", "dry_run": True}, False),
    ],
)
async def test_a_delete_for_some_of_its_agents_does_not_end_an_order(manager, where, delete, ends):
    """An order is over only when the delete reaches all that it is for, who joins later included."""
    await manager.hear("web1", "web2")
    order = an_order(**where)
    await seen(manager, order)
    assert (await seen(manager, a_delete(order.id, **delete))).lifted == ((order,) if ends else ())
    assert ((await manager.story(order)).view.lifted_by is not None) is ends


async def test_a_delete_of_what_nobody_knows_is_kept(manager):
    """It names an order that was never seen; who comes later gets it, for as long as it may matter."""
    delete = a_delete("never-seen")
    assert (await seen(manager, delete)).lifted == ()
    await manager.hear("web1")
    assert [sent for _, sent in manager.confirm() if isinstance(sent, Order)] == [delete]


async def test_an_end_that_is_left_out_is_counted_from_now(manager):
    """A timeout without `expires_at` ends that long after the order was seen."""
    await manager.hear("web1")
    order = an_order(expires_at=None, issued_at=0.0, deadline=START + 60)
    await seen(manager, order)
    await manager.answer(order, "web1")
    (block,) = await manager.ledger.blocks()
    assert [holder.until for holder in block.holders] == [START + 600]
