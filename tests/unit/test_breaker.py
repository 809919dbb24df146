"""The breaker: what is over a response's limit waits for a person, and no restart forgets that."""

import pytest

from manager.approvals import Word
from manager.ledger.on_hold import Selection
from manager.responses.breaker import ADDRESSES, ONE_SHOTS, WIDE
from shared.errors import StoreError
from shared.store import Connection
from tests.unit.a_conf import block, refused
from tests.unit.an_incident import addresses

_FAILING = "CREATE TRIGGER no BEFORE INSERT ON orders BEGIN SELECT RAISE(ABORT, 'no'); END"
LIMITED = block("<name>r</name><timeout>600</timeout><limit>3</limit>")


async def test_what_is_over_the_limit_is_on_hold(incident):
    """Three a minute are let through and the fourth is not: it is written down, and no message is made for it."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1")
        here.manager.confirm()
        taken = await here.attackers(0.0, *addresses(4))
        assert [len(each.orders) for each in taken] == [1, 1, 1, 0]
        (held,) = taken[3].held
        assert {row.message_id for row in here.manager.outbox()} == {each.orders[0].id for each in taken[:3]}
        view = (await here.manager.story(held)).view
        assert (view.state, view.agents, view.hold.reason) == ("on-hold", (), "breaker")
        assert [each.tripped for each in taken] == [(), (), (), ("r",)]


async def test_a_target_counts_once_a_minute(incident):
    """The same address on another host, or again because it was refused, is no new target."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1", "web2")
        first, *others = addresses(4)
        assert await here.let_through(0.0, first, *others[:2]) == [first, *others[:2]]
        assert await here.let_through(20.0, first, agent="web2") == [first]
        assert await here.let_through(20.0, others[2]) == []
        assert await here.let_through(30.0, others[0], agent="web2") == [others[0]], "also while it has tripped"


async def test_a_target_that_is_blocked_somewhere_is_not_new(incident):
    """Who moves from one host to the next is blocked there too, long after the minute and with the breaker tripped."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1", "web2")
        known, *others = addresses(5)
        await here.let_through(0.0, known)
        assert await here.let_through(200.0, *others) == others[:3]
        assert await here.let_through(210.0, known, agent="web2") == [known]


async def test_it_stays_tripped_until_it_is_quiet_for_a_minute(incident):
    """What is new stays on hold as long as the flood goes on, also when the minute of the first ones is over."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1")
        many = addresses(20)
        assert await here.let_through(0.0, *many[:5]) == many[:3]
        assert await here.let_through(50.0, many[5]) == []
        assert await here.let_through(100.0, many[6]) == []
        assert await here.let_through(159.0, many[7]) == []
        assert await here.let_through(219.5, many[8]) == [many[8]]


async def test_an_attacker_who_is_on_hold_does_not_keep_it_tripped(incident):
    """Alerts about what is on hold already make no second order, and are no noise."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1")
        many = addresses(6)
        await here.let_through(0.0, *many[:4])
        for at in (20.0, 40.0, 59.0):
            (taken,) = await here.attackers(at, many[3])
            assert (taken.orders, taken.held) == ((), ())
        assert await here.let_through(61.0, many[4]) == [many[4]]
        assert len(here.manager.held()) == 1


async def test_each_response_has_a_breaker_of_its_own(incident):
    """One response's flood holds back nothing of another's."""
    other = block("<name>s</name><timeout>60</timeout><limit>3</limit>", location="server")
    with incident(LIMITED + other) as here:
        await here.manager.hear("web1")
        await here.manager.hear("manager1", roles=("server",))
        many = addresses(3)
        await here.let_through(0.0, *many)
        assert await here.let_through(70.0, *addresses(3, first=3)) == [each for each in addresses(3, 3) for _ in "rs"]


async def test_a_killed_manager_remembers(incident):
    """Count and latch are in the ledger: a manager that is started anew goes on where the last one was."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1")
        await here.let_through(0.0, *addresses(2))
    with incident(LIMITED) as here:
        assert await here.let_through(5.0, *addresses(3, first=2)) == addresses(1, first=2)
    with incident(LIMITED) as here:
        assert await here.let_through(59.0, *addresses(1, first=9)) == []


async def test_a_transaction_that_fails_counts_nothing(incident):
    """What was rolled back took no token."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1")
        here.manager.store.run_now(lambda connection: connection.execute(_FAILING))
        with pytest.raises(StoreError):
            await here.attackers(0.0, *addresses(3))
        here.manager.store.run_now(lambda c: c.execute("DROP TRIGGER no"))
        assert await here.let_through(0.0, *addresses(3)) == addresses(3)


async def test_a_clock_that_is_set_back_does_not_trip_it_for_ever(incident):
    """What lies in the future after a step of the clock counts for nothing."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1")
        await here.let_through(3_600.0, *addresses(4))
        here.manager.clock.passed = 0.0
        assert (await here.manager.panic.status()).tripped == ()
        assert await here.let_through(0.0, *addresses(1, first=9)) == addresses(1, first=9)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, ADDRESSES),
        ({"location": "all"}, WIDE),
        ({"command": "disable-account"}, WIDE),
        ({"command": "restart-wazuh"}, ONE_SHOTS),
        ({"command": "wazuh-slack"}, ADDRESSES),
    ],
)
async def test_the_usual_limits(incident, options, count):
    """2,000 single addresses, or messages; 20 accounts, or of anything on `all`; 3 restarts."""
    with incident(block("<timeout>600</timeout>", **options)) as here:
        await here.manager.hear("web1")
        taken = await here.attackers(0.0, *addresses(count + 1))
        assert [bool(each.orders) for each in taken] == [True] * count + [False]


async def test_manual_orders_and_lifts_are_not_counted(incident):
    """A person may block and lift as much as there is to block, whatever the responses do."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1")
        await here.let_through(0.0, *addresses(4))
        for number, target in enumerate(addresses(5, first=10)):
            await here.manager.block(f"r{number}", address=target)
            assert len(await here.manager.unblock(f"u{number}", target)) == 1
        assert len(here.manager.held()) == 1


async def test_the_count_takes_no_more_room_than_the_limit(incident):
    """However long a flood lasts, the ledger counts as many targets as the limit allows, and drops them in the end."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1")
        await here.let_through(0.0, *addresses(50))
        assert here.manager.store.run_now(_counted) == 3
        here.manager.clock.passed = 61.0
        await here.manager.ledger.forget_old()
        assert here.manager.store.run_now(_counted) == 0


async def test_approval_closes_the_breaker(incident):
    """Once everything that it holds back is approved, the next ones are counted afresh."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1")
        await here.let_through(0.0, *addresses(5))
        first, _ = here.manager.held()
        await here.manager.approvals.approve(Word(issuer="ann", ids=(first.order.id,)))
        assert await here.let_through(1.0, *addresses(1, first=9)) == [], "one is left, and not decided about"
        await here.manager.approvals.approve(Word(issuer="ann", selection=Selection(response="r")))
        assert here.manager.held() == []
        assert await here.let_through(2.0, *addresses(4, first=10)) == addresses(3, first=10)


async def test_a_refusal_leaves_it_tripped(incident):
    """Who refuses doesn't want more of it: what is new stays on hold until it is quiet."""
    with incident(LIMITED) as here:
        await here.manager.hear("web1")
        await here.let_through(0.0, *addresses(5))
        await here.manager.approvals.refuse(Word(issuer="ann", selection=Selection()))
        assert await here.let_through(1.0, *addresses(1, first=9)) == []


@pytest.mark.parametrize("garbage", ["0", "-1", "many", "1.5", "100001", "1e3", "٣"])
def test_a_limit_is_a_number(conf, garbage):
    """Garbage is an error with file and line, and not a breaker that is off."""
    assert "limit" in refused(conf(block(f"<limit>{garbage}</limit>")))


def test_approval_is_yes_or_no(conf):
    """Anything else is an error with file and line."""
    assert refused(conf(block("<approval>maybe</approval>"))) == "1: <approval> is yes or no, not `maybe`"


def _counted(connection: Connection) -> int:
    return connection.execute("SELECT count(*) FROM breaker_targets").fetchone()[0]
