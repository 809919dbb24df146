"""Orders on hold: sent to nobody until a person decides, counted from then on, and never in the way of a lift."""

from manager.approvals import Word
from manager.ledger.on_hold import Selection
from manager.ledger.views import OrderQuery
from manager.policy import AllowRequest
from shared.messages import Order
from tests.unit.a_conf import block
from tests.unit.a_manager import ATTACKER, MINE, START
from tests.unit.an_incident import Incident, addresses

ASKING = block(
    "<name>r</name><timeout>60</timeout><repeated_offenders>10,20</repeated_offenders><approval>yes</approval>"
)
EVERYWHERE = block("<name>r</name><timeout>60</timeout><approval>yes</approval>", location="all")
ALL = Selection()


async def held(here: Incident, at: float = 0.0, target: str = ATTACKER) -> Order:
    """The order that an alert makes, which is on hold."""
    ((taken,),) = [each.held for each in await here.attackers(at, target)]
    return taken


async def approve(here: Incident, **which: object):
    return await here.manager.approvals.approve(Word(issuer="ann", **(which or {"selection": ALL})))


async def refuse(here: Incident, **which: object):
    return await here.manager.approvals.refuse(Word(issuer="ann", **(which or {"selection": ALL})))


async def test_an_approved_order_gets_its_full_time(incident):
    """Issue, deadline and end are those of the release, and the offence's end too."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        here.manager.confirm()
        order = await held(here)
        here.manager.clock.passed = 1_000.0
        (released,) = (await approve(here)).orders
        assert (released.id, released.issued_at) == (order.id, START + 1_000)
        assert released.deadline == released.expires_at == START + 1_060
        assert here.manager.confirm() == [("local.web1", released)]
        assert await here.manager.states(order) == {"web1": "waiting"}
        await here.manager.answer(released, "web1")
        assert (await here.attackers(1_030.0, ATTACKER))[0].orders == (), "it is in force until 1,060"
        ((again,),) = [each.held for each in await here.attackers(1_061.0, ATTACKER)]
        assert (again.offence, again.timeout) == (2, 600.0)


async def test_an_order_until_lifted_and_a_one_shot_are_stamped_anew(incident):
    """30 days, and a minute, from the release."""
    text = block("<approval>yes</approval>") + block("<approval>yes</approval>", command="restart-wazuh")
    with incident(text) as here:
        await here.manager.hear("web1")
        await here.attackers(0.0, ATTACKER)
        here.manager.clock.passed = 1_000.0
        spans = {each.action: each.deadline - each.issued_at for each in (await approve(here)).orders}
        assert spans == {"firewall-drop": 30 * 86_400.0, "restart-wazuh": 60.0}


async def test_who_is_here_at_the_release_is_expected_to_answer(incident):
    """Not who was here when the order was decided."""
    with incident(EVERYWHERE) as here:
        await here.manager.hear("web1")
        order = await held(here)
        await here.manager.hear("web2")
        assert await here.manager.states(order) == {}
        await approve(here)
        assert await here.manager.states(order) == {"web1": "waiting", "web2": "waiting"}


async def test_who_joins_while_an_order_is_on_hold_is_not_sent_it(incident):
    """Neither a new agent nor catch-up is a way past the person who is asked."""
    with incident(EVERYWHERE) as here:
        await here.manager.hear("web1")
        await held(here)
        here.manager.confirm()
        await here.manager.hear("web2", "web1", journal="lost")
        assert here.manager.outbox() == []


async def test_the_next_alert_makes_no_second_order(incident):
    """One order for each effect and place waits, however often its target offends."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        first = await held(here)
        for at in (1.0, 30.0, 3_000.0):
            (taken,) = await here.attackers(at, ATTACKER)
            assert (taken.orders, taken.held) == ((), ())
        assert [each.order.id for each in here.manager.held()] == [first.id]
        assert (await held(here, 3_001.0, addresses(1)[0])).target != ATTACKER


async def test_the_longest_of_equal_wishes_waits(incident):
    """Two responses that want the same thing have one order on hold, for the longer time, which counts for both."""
    text = ASKING + block("<name>s</name><timeout>900</timeout><approval>yes</approval>", rules="5763")
    with incident(text) as here:
        await here.manager.hear("web1")
        await held(here)
        (taken,) = await here.attackers(1.0, ATTACKER, rule="5763")
        assert taken.held == ()
        (released,) = (await approve(here)).orders
        assert (released.timeout, released.expires_at) == (900.0, START + 901)
        await here.manager.answer(released, "web1")
        assert [each.orders for each in await here.attackers(800.0, ATTACKER)] == [()]
        assert [each.orders for each in await here.attackers(800.0, ATTACKER, rule="5763")] == [()]


async def test_what_waits_does_not_hold_up_what_needs_nobody(incident):
    """A response that may act alone does so, though another's order for the same effect is on hold."""
    text = ASKING + block("<name>s</name><timeout>30</timeout>")
    with incident(text) as here:
        await here.manager.hear("web1")
        (taken,) = await here.attackers(0.0, ATTACKER)
        assert [each.response for each in taken.orders] == ["s"]
        assert [each.response for each in taken.held] == ["r"]
        (later,) = await here.attackers(31.0, ATTACKER)
        assert [each.response for each in later.orders] == ["s"]


async def test_a_repeated_alert_does_nothing(incident):
    """A batch that comes again finds its order where it is: on hold, and once."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        order = await held(here)
        here._taken = 0
        (again,) = await here.attackers(0.0, ATTACKER)
        assert (again.repeated, again.orders) == (True, (order,))
        assert len(here.manager.held()) == 1


async def test_refused_is_not_approved_and_counts_for_nothing(incident):
    """The order is over, says who refused it and why, and the next alert is a first offence that asks again."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        here.manager.confirm()
        order = await held(here)
        await refuse(here, ids=(order.id[:8],), reason="a scanner of ours")
        view = (await here.manager.story(order)).view
        assert (view.state, view.hold.note) == ("not-approved", "refused by ann: a scanner of ours")
        assert here.manager.outbox() == []
        assert (await held(here, 5.0)).offence == 1


async def test_what_nobody_decides_about_lapses(incident):
    """After an hour on hold an order is not approved; the next alert makes another one."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        order = await held(here)
        here.manager.clock.passed = 3_599.0
        assert (await here.manager.approvals.lapse()).orders == ()
        here.manager.clock.passed = 3_600.0
        assert [each.id for each in (await here.manager.approvals.lapse()).orders] == [order.id]
        view = (await here.manager.story(order)).view
        assert (view.state, view.hold.note) == ("not-approved", "lapsed")
        assert (await held(here, 3_601.0)).id != order.id


async def test_what_has_come_under_protection_is_not_approved(incident):
    """Whoever approves is told the entry and the reason, and the order is never sent."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        here.manager.confirm()
        order = await held(here, target=MINE)  # it came onto the list after it was decided
        decided = await approve(here, ids=(order.id,))
        (objection,) = decided.objections
        assert (decided.orders, objection.target) == ((), MINE)
        assert f"protected by {MINE}" in objection.why
        assert (await here.manager.story(order)).view.state == "not-approved"
        assert here.manager.outbox() == []


async def test_only_what_is_on_hold_can_be_decided_about(incident):
    """An unknown id, one that is too short, and one that is decided about are named with the reason."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        order = await held(here)
        assert len((await approve(here)).orders) == 1
        objections = (await approve(here, ids=(order.id, "feedfeed"))).objections
        assert [each.why for each in objections] == [
            f"order {order.id[:12]} isn't on hold: approved by ann",
            "no order, or more than one, has an id that begins with 'feedfeed'",
        ]


async def test_some_are_chosen_by_response_or_target(incident):
    """The rest stays on hold."""
    with incident(
        ASKING + block("<name>s</name><timeout>60</timeout><approval>yes</approval>", location="server")
    ) as here:
        await here.manager.hear("web1")
        one, two = addresses(2)
        await here.attackers(0.0, one, two)
        assert {each.response for each in (await approve(here, selection=Selection(response="s"))).orders} == {"s"}
        assert [each.target for each in (await refuse(here, selection=Selection(target=one))).orders] == [one]
        assert [(each.order.response, each.order.target) for each in here.manager.held()] == [("r", two)]


async def test_thousands_are_released_a_thousand_at_a_time(incident):
    """Each transaction is bounded, and what comes meanwhile is not part of it."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        await here.attackers(0.0, *addresses(2_500))
        here.manager.clock.passed = 5.0
        first = await approve(here)
        await here.attackers(6.0, *addresses(1, first=9_000))
        second = await approve(here, selection=ALL, before=first.before)
        third = await approve(here, selection=ALL, before=first.before)
        assert [(len(each.orders), each.more) for each in (first, second, third)] == [
            (1_000, True),
            (1_000, True),
            (500, False),
        ]
        assert len(here.manager.held()) == 1


async def test_a_clock_that_is_set_back_hides_nothing_that_is_on_hold(incident):
    """All of it is decided about, also what is on hold since later than now."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        order = await held(here, 3_600.0)
        here.manager.clock.passed = 0.0
        assert [each.id for each in (await approve(here)).orders] == [order.id]


async def test_the_longer_time_says_which_offence_it_is_for(incident):
    """An order that waited for the next host while its target was blocked takes over the number of the next offence."""
    with incident(block("<name>r</name><timeout>60</timeout><repeated_offenders>10</repeated_offenders>")) as here:
        await here.manager.hear("web1", "web2")
        await here.order(0.0, "web1")
        here.manager.confirm()
        await here.manager.panic.pause("ann", "")
        await here.attackers(30.0, ATTACKER, agent="web2")
        await here.attackers(70.0, ATTACKER, agent="web2")
        await here.manager.panic.resume()
        (released,) = (await approve(here, selection=Selection(response="r"))).orders
        assert (released.timeout, released.offence) == (600.0, 2)


async def test_a_lift_cancels_what_is_on_hold(incident):
    """An unblock names the order, so that it is never sent and can't be approved any more, and the offence is none."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        here.manager.confirm()
        order = await held(here)
        (delete,) = await here.manager.unblock()
        assert (delete.lifts, delete.agents) == ((order.id,), ("web1",))
        assert (await here.manager.story(order)).view.state == "lifted"
        assert here.manager.held() == []
        assert [row.message_id for row in here.manager.outbox()] == [delete.id]
        assert (await approve(here, ids=(order.id,))).orders == ()
        assert (await held(here, 5.0)).offence == 1


async def test_a_new_entry_of_the_allowlist_cancels_what_is_on_hold(incident):
    """In the same transaction, for everything that overlaps it, and for nothing else."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        inside, outside = await held(here, target="203.0.113.9"), await held(here, target="198.51.100.99")
        await here.manager.policy.add(AllowRequest(request_id="allow-1", network="203.0.113.0/24"))
        assert (await here.manager.story(inside)).view.state == "lifted"
        assert [each.order.id for each in here.manager.held()] == [outside.id]


async def test_a_lift_names_what_is_in_force_and_what_is_on_hold(incident):
    """One delete for both."""
    with incident(EVERYWHERE) as here:
        await here.manager.hear("web1")
        waiting = await held(here)
        running = await here.manager.block()
        (delete,) = await here.manager.unblock()
        assert set(delete.lifts) == {waiting.id, running.id}


async def test_lists_show_what_is_on_hold(incident):
    """By state, and with the reason."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        order = await held(here)
        refused = await held(here, target=addresses(1)[0])
        await refuse(here, ids=(refused.id,))
        await here.manager.block()

        async def listed(state: str) -> list[str]:
            return [view.id for view in await here.manager.ledger.orders(OrderQuery(state=state))]

        assert (await listed("on-hold"), await listed("not-approved")) == ([order.id], [refused.id])


async def test_what_was_decided_is_forgotten_with_the_rest(incident):
    """Orders that were never sent don't stay for ever; those on hold do until they lapse."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        await refuse(here, ids=((await held(here)).id,))
        waiting = await held(here, 1.0)
        here.manager.clock.passed = 31 * 86_400.0
        assert await here.manager.ledger.forget_old() == 1
        assert [each.order.id for each in here.manager.held()] == [waiting.id]
