"""Escalation on a real ledger: longer each time, over restarts and agents, and judged by what is really in force."""

import pytest

from manager.ledger.foreign import Given
from manager.policy import AllowRequest
from manager.responses.verdict import Sighting
from shared import codec
from shared.messages import Order
from tests.unit.a_conf import block
from tests.unit.a_manager import ATTACKER, START, AManager, expiry
from tests.unit.a_verdict import alert

GROWING = "<timeout>5s</timeout><repeated_offenders>10s,20s</repeated_offenders>"


def sense(order: Order) -> tuple:
    """What matters of an order here."""
    return (order.location, order.agents, order.offence, order.timeout)


async def delete_of_another(manager: AManager, order: Order) -> None:
    """Another correlator lifts an order of ours."""
    delete = Order(
        id=f"delete-of-{order.id}",
        operation="delete",
        action=order.action,
        location=order.location,
        agents=order.agents,
        target=order.target,
        lifts=(order.id,),
        issued_at=manager.clock.wall(),
        deadline=manager.clock.wall() + 3_600,
    )
    audience = manager.roster.members().audience(order.location, order.agents)
    await manager.ledger.admit([Given(order=delete, body=codec.encode(delete), audience=audience, lasting=False)])
    await manager.ledger.record([expiry(order.id, agent, START + manager.clock.passed) for agent in order.agents])


async def test_each_offence_is_blocked_for_longer_and_the_last_entry_sticks(incident):
    """5 s, then 10 s, then 20 s, then 20 s again."""
    with incident(block(GROWING)) as case:
        await case.manager.hear("web1")
        orders = [await case.order(at, "web1") for at in (0, 6, 17, 38)]
    assert [(order.offence, order.timeout) for order in orders] == [(1, 5.0), (2, 10.0), (3, 20.0), (4, 20.0)]
    assert [order.expires_at for order in orders] == [START + 5, START + 16, START + 37, START + 58]


async def test_escalation_survives_restarts_and_a_file_put_in_order(incident):
    """Another run of the manager, with its file rearranged, knows how often it was."""
    other = block("<timeout>1h</timeout>", rules="5763")
    for passed, text in ((0, block(GROWING) + other), (6, other + block(GROWING)), (17, block(GROWING))):
        with incident(text) as case:
            await case.manager.hear("web1")
            order = await case.order(passed, "web1")
    assert (order.offence, order.timeout) == (3, 20.0)


async def test_a_second_alert_while_the_block_stands_orders_nothing(incident):
    """The block is in force on the agent: nothing to do, and no offence."""
    with incident(block(GROWING)) as case:
        await case.manager.hear("web1")
        await case.order(0, "web1")
        assert (await case.alert(3)).orders == ()
        assert (await case.order(6)).offence == 2


async def test_an_alert_from_before_the_end_that_comes_after_it_is_no_offence(incident):
    """What counts is when the line was written, not when it came."""
    with incident(block(GROWING)) as case:
        await case.manager.hear("web1")
        await case.order(0, "web1")
        assert (await case.alert(7, seen=4.9)).orders == ()
        assert (await case.order(8, seen=5.0)).offence == 2


async def test_an_entry_of_the_allowlist_ends_the_offences_of_what_it_lifts(incident):
    """Who is blocked still, by a response that is exempt from the list, is no repeated offender of that one."""
    exempt = "<name>exempt</name><timeout>60</timeout><white_list_exempt>yes</white_list_exempt>"
    plain = block("<name>plain</name><timeout>90</timeout>", location="server")
    with incident(block(exempt) + plain) as case:
        await case.manager.hear("web1")
        await case.manager.hear("manager1", roles=("server",))
        both = (await case.alert(0)).orders
        for order, agent in zip(both, ("web1", "manager1"), strict=True):
            await case.manager.answer(order, agent)
        changed = await case.manager.policy.add(AllowRequest(request_id="a1", network=ATTACKER))
        assert [each.lifts for each in changed.lifted] == [(both[1].id,)]
        await case.manager.policy.remove(ATTACKER)
        assert [(each.response, each.offence) for each in (await case.alert(30)).orders] == [("plain", 2)]


async def test_another_correlators_delete_ends_the_offences_of_what_it_lifts(incident):
    """Who is blocked still, by another response or on another host, is no repeated offender there."""
    one, two = (
        block("<name>one</name><timeout>60</timeout>"),
        block("<name>two</name><timeout>60</timeout>", location="server"),
    )
    with incident(one + two) as case:
        await case.manager.hear("web1", "web2")
        await case.manager.hear("manager1", roles=("server",))
        first, second = (await case.alert(0)).orders
        await case.manager.answer(first, "web1")
        await case.manager.answer(second, "manager1")
        (there,) = (await case.alert(1, agent="web2")).orders
        await case.manager.answer(there, "web2")
        await delete_of_another(case.manager, first)
        (again,) = (await case.alert(10)).orders
        assert (again.response, again.offence, again.expires_at) == ("one", 1, first.expires_at)
        await delete_of_another(case.manager, there)
        await delete_of_another(case.manager, again)
        assert [(each.response, each.offence) for each in (await case.alert(20)).orders] == [("one", 2)]


async def test_a_host_whose_clock_is_ahead_makes_no_offence_early(incident):
    """A line of the future is one of now."""
    with incident(block(GROWING)) as case:
        await case.manager.hear("web1")
        await case.order(0, "web1")
        assert (await case.alert(3, seen=30.0)).orders == ()


async def test_an_attacker_who_moves_on_is_blocked_there_for_the_time_left(incident):
    """web2 gets the same offence, and the end that web1's block has."""
    with incident(block("<timeout>600</timeout><repeated_offenders>30</repeated_offenders>")) as case:
        await case.manager.hear("web1", "web2")
        first = await case.order(0, "web1")
        second = await case.order(200, "web2", agent="web2")
        assert (await case.alert(300, agent="web2")).orders == ()
        assert (await case.order(601, agent="web2")).offence == 2
    assert sense(second) == ("local", ("web2",), 1, 400.0)
    assert second.expires_at == first.expires_at == START + 600


async def test_who_joins_an_attack_in_its_last_second_waits_for_the_next_offence(incident):
    """An order with less than a second left would be stale when it comes."""
    with incident(block(GROWING)) as case:
        await case.manager.hear("web1", "web2")
        await case.order(0, "web1")
        assert (await case.alert(4.5, agent="web2")).orders == ()
        assert (await case.order(5, agent="web2")).offence == 2


@pytest.mark.parametrize("status", ["refused", "failed", "stale"])
async def test_what_did_not_work_never_counts_as_in_force(incident, status: str):
    """The next alert tries again, under the same offence and to the same end."""
    with incident(block(GROWING)) as case:
        await case.manager.hear("web1")
        await case.order(0, "web1", status=status)
        again = await case.order(1, "web1")
    assert (again.offence, again.timeout, again.expires_at) == (1, 4.0, START + 5)


async def test_an_order_that_is_still_open_is_waited_for(incident):
    """Within ten seconds an answer may yet come; after that the agent is told again."""
    with incident(block("<timeout>600</timeout>")) as case:
        await case.manager.hear("web1")
        await case.order(0)
        assert (await case.alert(9)).orders == ()
        assert (await case.order(11)).timeout == 589.0


async def test_an_agent_that_nobody_knows_never_counts(incident):
    """Its order is unroutable, and so is the next."""
    with incident(block("<timeout>600</timeout>")) as case:
        first = await case.order(0, agent="stranger")
        second = await case.order(1, agent="stranger")
        assert await case.manager.states(second) == {"stranger": "unroutable"}
    assert (first.offence, second.offence) == (1, 1)


async def test_of_a_list_those_that_lack_it_get_it(incident):
    """The agents that hold the effect are left out, and the response is the same."""
    agents = "<agent_id>web1,web2,web3</agent_id><timeout>600</timeout>"
    with incident(block(agents, location="defined-agent")) as case:
        await case.manager.hear("web1", "web2", "web3")
        first = await case.order(0, "web1")
        await case.manager.answer(first, "web2", "failed")
        await case.manager.answer(first, "web3", "unchanged")
        again = await case.order(100)
    assert sense(first) == ("agent", ("web1", "web2", "web3"), 1, 600.0)
    assert sense(again) == ("agent", ("web2",), 1, 500.0)
    assert again.response == first.response


async def test_when_everybody_holds_it_all_orders_nothing(incident):
    """`all` in force on all is in force."""
    with incident(block("<timeout>600</timeout>", location="all")) as case:
        await case.manager.hear("web1", "web2")
        await case.order(0, "web1", "web2")
        assert (await case.alert(100)).orders == ()


async def test_what_is_left_of_all_goes_out_under_names(incident):
    """Some hold it: the others are named; nobody holds it: it is for all once more."""
    with incident(block("<timeout>600</timeout>", location="all")) as case:
        await case.manager.hear("web1", "web2", "web3")
        first = await case.order(0, "web1")
        for agent in ("web2", "web3"):
            await case.manager.answer(first, agent, "failed")
        some = await case.order(100, "web2", "web3", status="failed")
        assert sense(some) == ("agent", ("web2", "web3"), 1, 500.0)
        assert some.response == first.response
    with incident(block("<timeout>600</timeout>", location="all", rules="5763")) as case:
        await case.manager.hear("web1", "web2", "web3")
        await case.order(200, "web1", "web2", "web3", status="failed", rule="5763")
        assert sense(await case.order(300, rule="5763")) == ("all", (), 1, 500.0)


async def test_what_is_left_of_the_servers_goes_out_under_names(incident):
    """Two managers' hosts, one of which failed."""
    with incident(block("<timeout>600</timeout>", location="server")) as case:
        await case.manager.hear("manager1", "manager2", roles=("server",))
        first = await case.order(0, "manager1")
        await case.manager.answer(first, "manager2", "failed")
        assert sense(await case.order(100)) == ("agent", ("manager2",), 1, 500.0)


async def test_an_all_before_the_first_agent_is_an_order(incident):
    """Whoever joins later is sent it; more alerts order nothing until somebody lacks it."""
    with incident(block("<timeout>600</timeout>", location="all")) as case:
        assert (await case.order(0)).location == "all"
        assert (await case.alert(1)).orders == ()


async def test_two_alerts_of_one_batch_are_one_offence(incident):
    """The second sees what the first did."""
    with incident(block(GROWING)) as case:
        await case.manager.hear("web1")
        both = [Sighting(alert=alert(id=name), at=START) for name in ("a1", "a2")]
        first, second = await case.manager.dispatch.take(both)
    assert (len(first.orders), second.orders) == (1, ())


async def test_responses_and_targets_are_counted_apart(incident):
    """Another response, and another attacker, start at their first offence."""
    with incident(block(GROWING) + block(GROWING, rules="5763")) as case:
        await case.manager.hear("web1")
        await case.order(0, "web1")
        assert (await case.order(6, "web1")).offence == 2
        assert (await case.order(6, "web1", rule="5763")).offence == 1
        assert (await case.order(6, "web1", data={"srcip": "203.0.113.10"})).offence == 1


async def test_until_lifted_has_no_repeat_until_it_is_lifted(incident):
    """A block without an end is in force until somebody ends it; what comes after is the next offence."""
    with incident(block("<repeated_offenders>10s</repeated_offenders>")) as case:
        await case.manager.hear("web1", "web2")
        assert (await case.order(0, "web1")).timeout is None
        assert (await case.alert(1_000)).orders == ()
        assert sense(await case.order(1_000, "web2", agent="web2")) == ("local", ("web2",), 1, None)
        await case.manager.unblock()
        assert sense(await case.order(1_001)) == ("local", ("web1",), 2, 10.0)


async def test_an_offence_is_forgotten_after_its_time(incident):
    """A memory of an hour: a minute before its end it is the second offence, after it the first."""
    with incident(block(GROWING), offence_memory=3_600.0) as case:
        await case.manager.hear("web1")
        await case.order(0, "web1")
        second = await case.order(3_600, "web1")
        fresh = await case.order(3_610 + 3_601, "web1")
    assert (second.offence, fresh.offence) == (2, 1)


async def test_a_dry_run_never_counts(incident):
    """What is simulated is in force nowhere: each alert is simulated anew, and is no offence."""
    with incident(block(GROWING + "<dry_run>yes</dry_run><name>ssh</name>")) as case:
        await case.manager.hear("web1")
        assert (await case.order(0, "web1", status="simulated")).dry_run
        assert (await case.order(1, "web1", status="simulated")).offence == 1
    with incident(block(GROWING + "<name>ssh</name>")) as case:
        assert sense(await case.order(6)) == ("local", ("web1",), 1, 5.0)


async def test_each_alert_makes_a_one_shot(incident):
    """A restart is not in force, and has no offences."""
    with incident(block(command="restart-wazuh")) as case:
        await case.manager.hear("web1")
        first = await case.order(0, "web1")
        second = await case.order(1, "web1")
    assert (first.offence, second.offence) == (1, 1)
    assert first.id != second.id


async def test_a_repeated_alert_is_answered_from_the_ledger(incident):
    """The same alert gets the order that it got, whatever would be decided now."""
    with incident(block(GROWING)) as case:
        await case.manager.hear("web1")
        one = Sighting(alert=alert(id="a1"), at=START)
        (first,) = await case.manager.dispatch.take([one])
        case.manager.clock.passed = 60
        (again,) = await case.manager.dispatch.take([one])
    assert again.repeated
    assert again.orders == first.orders


async def test_a_protected_attacker_is_refused_in_the_ledger_each_time(incident):
    """The refusal is written down with the entry, and no offence is."""
    with incident(f"<global><white_list>{ATTACKER}/24</white_list></global>" + block(GROWING)) as case:
        await case.manager.hear("web1")
        taken = [await case.alert(at) for at in (0, 6)]
        rows = case.manager.store.run_now(
            lambda c: [tuple(row) for row in c.execute("SELECT target, reason, detail FROM refusals")]
        )
        offenders = case.manager.store.run_now(lambda c: c.execute("SELECT * FROM offenders").fetchall())
    assert [each.orders for each in taken] == [(), ()]
    assert rows == [(ATTACKER, "protected", "203.0.113.9 is protected by 203.0.113.0/24 (white_list)")] * 2
    assert offenders == []


async def test_a_longer_response_extends_what_a_shorter_one_ordered(incident):
    """Both orders go out when they come of different alerts; agents keep the later end."""
    with incident(block("<timeout>60</timeout>") + block("<timeout>600</timeout>", rules="5763")) as case:
        await case.manager.hear("web1")
        short = await case.order(0, "web1")
        long = await case.order(10, "web1", rule="5763")
    assert (short.expires_at, long.expires_at) == (START + 60, START + 610)
