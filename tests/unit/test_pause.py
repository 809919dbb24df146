"""The panic button: a pause that sends nothing but lifts, over restarts too, and the end of every block."""

import pytest

from manager.actions import Term
from manager.approvals import Word
from manager.by_hand import BLOCK, OrderRequest
from manager.ledger.on_hold import Selection
from manager.panic import Everything
from shared.errors import ManagerPaused
from tests.unit.a_conf import block
from tests.unit.a_manager import ATTACKER, START
from tests.unit.an_incident import addresses

BLOCKING = block("<name>r</name><timeout>60</timeout><repeated_offenders>10</repeated_offenders>")


async def test_a_pause_keeps_what_responses_order(incident):
    """Alerts are responded to, and what comes of it is on hold."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        here.manager.confirm()
        await here.manager.panic.pause("ann", "false alarms")
        (taken,) = await here.attackers(0.0, ATTACKER)
        assert (taken.orders, len(taken.held)) == ((), 1)
        assert here.manager.outbox() == []
        (waiting,) = here.manager.held()
        assert waiting.reason == "paused"


async def test_a_pause_keeps_blocks_by_hand(incident):
    """They are on hold as well, and whoever gave one is told; asked again, it is the same order."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        await here.manager.panic.pause("ann", "")
        request = OrderRequest(request_id="r1", action=BLOCK, target=ATTACKER, location="all", term=Term(timeout=60.0))
        placed, again = await here.manager.dispatch.order(request), await here.manager.dispatch.order(request)
        assert (placed.on_hold, again.on_hold, again.repeated, again.orders) == (True, True, True, placed.orders)


async def test_lifts_go_out_during_a_pause(incident):
    """What is in force can be ended at any time."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        await here.order(0.0, "web1")
        here.manager.confirm()
        await here.manager.panic.pause("ann", "")
        (delete,) = await here.manager.unblock()
        assert [row.message_id for row in here.manager.outbox()] == [delete.id]


async def test_what_is_unsent_is_taken_back(incident):
    """Orders that the broker has not confirmed go back on hold; what is sent stays sent, and lifts stay in line."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        sent = await here.order(0.0)
        here.manager.confirm()
        (unsent,) = (await here.attackers(1.0, addresses(1)[0]))[0].orders
        by_hand = await here.manager.block(address="198.51.100.99")
        (delete,) = await here.manager.unblock()
        standstill = await here.manager.panic.pause("ann", "")
        assert (standstill.taken_back, standstill.on_hold) == (2, {"paused": 2})
        assert {each.order.id for each in here.manager.held()} == {unsent.id, by_hand.id}
        assert [row.message_id for row in here.manager.outbox()] == [delete.id]
        assert await here.manager.states(unsent) == {"web1": "on-hold"}
        assert (await here.manager.story(sent)).view.sent_at is not None


async def test_what_was_taken_back_counts_as_nothing(incident):
    """Its offence is undone: refused, the next alert is a first offence; approved, it is that from then on."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        refused, approved = addresses(2)
        await here.attackers(0.0, refused, approved)
        await here.manager.panic.pause("ann", "")
        await here.manager.panic.resume()
        here.manager.clock.passed = 10.0
        await here.manager.approvals.refuse(Word(issuer="ann", selection=Selection(target=refused)))
        (released,) = (
            await here.manager.approvals.approve(Word(issuer="ann", selection=Selection(target=approved)))
        ).orders
        assert (released.expires_at, await here.manager.states(released)) == (START + 70, {"web1": "waiting"})
        await here.manager.answer(released, "web1")
        (again,) = (await here.attackers(11.0, refused))[0].orders
        assert (again.offence, again.timeout) == (1, 60.0)
        assert (await here.attackers(12.0, approved))[0].orders == ()
        (second,) = (await here.attackers(71.0, approved))[0].orders
        assert (second.offence, second.timeout) == (2, 600.0)


async def test_what_was_taken_back_leaves_a_running_block_alone(incident):
    """Of a target that is blocked on one host, only the order for the next host is undone."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1", "web2")
        await here.order(0.0, "web1")
        here.manager.confirm()
        await here.attackers(5.0, ATTACKER, agent="web2")
        await here.manager.panic.pause("ann", "")
        await here.manager.approvals.refuse(Word(issuer="ann", selection=Selection()))
        await here.manager.panic.resume()
        (again,) = (await here.attackers(30.0, ATTACKER, agent="web2"))[0].orders
        assert (again.offence, again.expires_at) == (1, START + 60)


async def test_what_was_on_its_way_is_not_on_hold(incident):
    """The broker's confirm comes after the pause: the order is sent, and counts as what it is."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        here.manager.confirm()
        order = await here.order(0.0)
        on_their_way = here.manager.outbox()
        await here.manager.panic.pause("ann", "")
        here.manager.store.run_now(lambda connection: here.manager.ledger.confirmed(connection, on_their_way))
        assert here.manager.held() == []
        assert await here.manager.states(order) == {"web1": "waiting"}
        await here.manager.answer(order, "web1")
        await here.manager.panic.resume()
        assert (await here.attackers(30.0, ATTACKER))[0].orders == ()
        (second,) = (await here.attackers(61.0, ATTACKER))[0].orders
        assert second.offence == 2


async def test_who_joins_before_it_is_known_that_an_order_was_sent_gets_it(incident):
    """The broker's confirm takes an order off hold, and whoever came meanwhile is to have it as well."""
    with incident(block("<name>r</name><timeout>600</timeout>", location="all")) as here:
        await here.manager.hear("web1")
        here.manager.confirm()
        order = await here.order(0.0)
        on_their_way = here.manager.outbox()
        await here.manager.panic.pause("ann", "")
        await here.manager.hear("web2")
        here.manager.store.run_now(lambda connection: here.manager.ledger.confirmed(connection, on_their_way))
        assert await here.manager.states(order) == {"web1": "waiting", "web2": "waiting"}


async def test_what_was_on_its_way_and_is_refused_is_lifted(incident):
    """The broker died before its confirm, and the agent has the block all the same: a refusal ends it."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        order = await here.order(0.0)
        await here.manager.panic.pause("ann", "")
        await here.manager.answer(order, "web1")
        decided = await here.manager.approvals.refuse(Word(issuer="ann", selection=Selection()))
        (delete,) = decided.lifts
        assert (delete.lifts, delete.agents) == ((order.id,), ("web1",))
        assert [row.message_id for row in here.manager.outbox()] == [delete.id]


async def test_what_may_be_on_its_way_and_is_refused_is_lifted(incident):
    """The broker may have it, and hand it out later: who is sent it finds that it was lifted."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        here.manager.confirm()
        order = await here.order(0.0)
        on_their_way = here.manager.outbox()
        await here.manager.panic.pause("ann", "")
        (delete,) = (await here.manager.approvals.refuse(Word(issuer="ann", selection=Selection()))).lifts
        assert (delete.lifts, delete.agents) == ((order.id,), ("web1",))
        here.manager.store.run_now(lambda connection: here.manager.ledger.confirmed(connection, on_their_way))
        await here.manager.answer(order, "web1", "lifted")
        story = await here.manager.story(order)
        assert (story.view.state, [said.expected for said in story.history]) == ("not-approved", [True])


async def test_what_is_refused_after_its_end_needs_no_lift(incident):
    """Nobody who gets it now would take it."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        await here.order(0.0)
        await here.manager.panic.pause("ann", "")
        here.manager.clock.passed = 60.0
        decided = await here.manager.approvals.refuse(Word(issuer="ann", selection=Selection()))
        assert (len(decided.orders), decided.lifts) == (1, ())


async def test_who_goes_on_after_a_pause_is_blocked(incident):
    """What the pause has kept of an attacker waits for a person, and the next alert about it does not."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        await here.manager.panic.pause("ann", "")
        ((kept,),) = [each.held for each in await here.attackers(0.0, ATTACKER)]
        await here.manager.panic.resume()
        (sent,) = (await here.attackers(5.0, ATTACKER))[0].orders
        await here.manager.answer(sent, "web1")
        assert [each.order.id for each in here.manager.held()] == [kept.id]
        await here.manager.approvals.refuse(Word(issuer="ann", selection=Selection()))
        assert (await here.attackers(30.0, ATTACKER))[0].orders == ()
        assert ((await here.attackers(66.0, ATTACKER))[0].orders)[0].offence == 2


async def test_a_clock_that_is_set_back_over_a_pause_leaves_the_first_offence(incident):
    """What was taken back is no offence at all, and what comes next is the first one."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        here.manager.clock.passed = 100.0
        await here.order(100.0)
        await here.manager.panic.pause("ann", "")
        await here.manager.approvals.refuse(Word(issuer="ann", selection=Selection()))
        await here.manager.panic.resume()
        assert ((await here.attackers(50.0, ATTACKER))[0].orders)[0].offence == 1


async def test_a_pause_leaves_an_agent_that_lost_its_journal_what_it_holds(incident):
    """The word that it was sent everything goes with what it was to be sent; it comes once the pause is over."""
    with incident(BLOCKING) as here:
        manager = here.manager
        await manager.hear("web1")
        order = await manager.block()
        manager.confirm()
        await manager.answer(order, "web1")
        manager.clock.passed = 5.0
        await manager.hear("web1", journal="another")
        assert [policy.caught_up for _, policy in manager.policies()] == ["another"]
        await manager.panic.pause("ann", "")
        assert manager.unsent() == []
        await manager.panic.resume()
        for passed in (10.0, 20.0):
            manager.clock.passed = passed
            await manager.hear("web1", journal="another")
        assert [policy.caught_up for _, policy in manager.policies()] == ["another"]
        assert [sent.id for _, sent in manager.confirm()] == [order.id]


async def test_what_was_approved_and_is_taken_back_waits_anew(incident):
    """Nothing says of it that it was approved."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        await here.manager.panic.pause("ann", "")
        ((kept,),) = [each.held for each in await here.attackers(0.0, ATTACKER)]
        await here.manager.panic.resume()
        await here.manager.approvals.approve(Word(issuer="ann", selection=Selection()))
        assert (await here.manager.panic.pause("bob", "")).taken_back == 1
        assert (await here.manager.story(kept)).view.hold.note == ""


async def test_a_pause_outlives_the_manager(incident):
    """Who is started anew is paused still, by the same person for the same reason."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        await here.manager.panic.pause("ann", "false alarms")
    with incident(BLOCKING) as here:
        found = (await here.manager.panic.status()).pause
        assert (found.since, found.issuer, found.reason) == (START, "ann", "false alarms")
        assert (await here.attackers(1.0, ATTACKER))[0].orders == ()


async def test_the_first_to_pause_is_named(incident):
    """A second pause changes nothing, and a resume ends it, once."""
    with incident(BLOCKING) as here:
        assert (await here.manager.panic.pause("ann", "a")).changed
        second = await here.manager.panic.pause("bob", "b")
        assert (second.changed, second.pause.issuer) == (False, "ann")
        assert (await here.manager.panic.resume()).changed
        assert not (await here.manager.panic.resume()).changed


async def test_nothing_is_approved_during_a_pause(incident):
    """Whoever tries is told to resume first. What is on hold stays so after that, until somebody decides."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        here.manager.confirm()
        await here.manager.panic.pause("ann", "")
        await here.attackers(0.0, ATTACKER)
        with pytest.raises(ManagerPaused, match=r"paused by ann.*`thwart resume` first"):
            await here.manager.approvals.approve(Word(issuer="bob", selection=Selection()))
        await here.manager.panic.resume()
        assert here.manager.outbox() == []
        await here.manager.approvals.approve(Word(issuer="bob", selection=Selection()))
        assert len(here.manager.outbox()) == 1


async def test_orders_are_sent_again_after_a_pause(incident):
    """What responses order after it goes out as before."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        await here.manager.panic.pause("ann", "")
        await here.manager.panic.resume()
        assert len((await here.attackers(0.0, ATTACKER))[0].orders) == 1


async def test_catch_up_sends_lifts_alone_during_a_pause(incident):
    """An agent that has lost its journal gets what lifts, and its blocks when the pause is over."""
    with incident(BLOCKING) as here:
        manager = here.manager
        await manager.hear("web1")
        one, two = addresses(2)
        await here.attackers(0.0, one, two)
        manager.confirm()
        (delete,) = await manager.unblock(address=one)
        manager.confirm()
        await manager.panic.pause("ann", "")
        manager.clock.passed = 3.0
        await manager.hear("web1", journal="another")
        assert [row.message_id for row in manager.outbox()] == [delete.id]
        manager.confirm()
        manager.clock.passed = 5.0
        await manager.catch_up.tick()
        assert manager.outbox() == []
        await manager.panic.resume()
        manager.clock.passed = 7.0
        await manager.catch_up.tick()
        manager.clock.passed = 9.0
        await manager.catch_up.tick()
        assert {order.operation: order.target for _, order in manager.confirm()} == {"delete": one, "add": two}


async def test_who_joins_during_a_pause_is_sent_its_blocks_by_the_next_manager(incident):
    """Its order never had anywhere to go, and the manager that knew what it had put off was killed."""
    with incident(block("<name>r</name><timeout>600</timeout>")) as here:
        await here.manager.hear("web1")
        (order,) = (await here.attackers(0.0, ATTACKER, agent="web2"))[0].orders
        assert await here.manager.states(order) == {"web2": "unroutable"}
        await here.manager.panic.pause("ann", "")
        await here.manager.hear("web2")
        here.manager.confirm()
    with incident(block("<name>r</name><timeout>600</timeout>")) as here:
        await here.manager.panic.resume()
        here.manager.clock.passed = 20.0
        await here.manager.hear("web2")
        await here.manager.catch_up.tick()
        assert [sent.id for _, sent in here.manager.confirm()] == [order.id]


async def test_everything_is_lifted(incident):
    """What is in force, what waits for an answer, what is unsent and what is on hold, on any target, in turns."""
    with incident(BLOCKING) as here:
        manager = here.manager
        await manager.hear("web1", "web2")
        applied = await here.order(0.0, "web1")
        manager.confirm()
        unsent = await manager.block("b1", address="198.51.100.99", location="all", timeout=None)
        await manager.panic.pause("ann", "")
        ((held,),) = [each.held for each in await here.attackers(1.0, addresses(1)[0])]
        manager.clock.passed = 5.0
        lifted, deletes = await _everything(manager)
        assert lifted == 3
        assert {each for delete in deletes for each in delete.lifts} == {applied.id, unsent.id, held.id}
        assert manager.held() == []
        assert manager.forgotten >= 1


async def test_everything_is_lifted_in_turns(incident):
    """A transaction lifts some hundreds of orders; nobody waits long for the writer."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        await here.attackers(0.0, *addresses(900))
        first = await here.manager.panic.lift_everything(Everything(request_id="e1"))
        second = await here.manager.panic.lift_everything(Everything(request_id="e2", after=first.after))
        third = await here.manager.panic.lift_everything(Everything(request_id="e3", after=second.after))
        assert (first.orders, second.orders, third.orders, third.after) == (500, 400, 0, None)


async def test_who_offends_after_everything_was_lifted_is_blocked_again(incident):
    """As a new offence."""
    with incident(BLOCKING) as here:
        await here.manager.hear("web1")
        await here.order(0.0, "web1")
        here.manager.clock.passed = 5.0
        await _everything(here.manager)
        (again,) = (await here.attackers(6.0, ATTACKER))[0].orders
        assert again.offence == 2


async def _everything(manager):
    lifted, deletes, after, turn = 0, [], "", 0
    while after is not None:
        turn += 1
        some = await manager.panic.lift_everything(Everything(request_id=f"e{turn}", after=after))
        lifted, after = lifted + some.orders, some.after
        deletes += some.deletes
    return lifted, deletes
