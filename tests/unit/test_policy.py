"""The manager's allowlist: what adding to it ends, whom it protects from then on, and how agents come to know of it."""

from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from manager.policy import AllowPolicy, AllowRequest
from manager.responses.configuration import load
from manager.responses.responses import Responses
from shared import codec
from shared.errors import (
    AllowlistFull,
    ConfigurationError,
    InvalidTarget,
    NotOnAllowlist,
    ProtectedTarget,
    StoreError,
)
from shared.messages import Order, PolicyEntry
from shared.targets import Allowlist
from tests.unit.a_manager import ATTACKER, MINE, START, AManager, a_manager, sighting

OFFICE = "203.0.113.0/24"  # ATTACKER is in it


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


async def allow(manager: AManager, network: str = OFFICE, request_id: str = "a1", reason: str = "the office"):
    return await manager.policy.add(AllowRequest(request_id=request_id, network=network, reason=reason, issuer="ann"))


async def in_force(manager: AManager, *agents: str, request_id: str = "r1", **wish: object) -> Order:
    order = await manager.block(request_id, **wish)
    manager.confirm()
    for agent in agents:
        await manager.answer(order, agent)
    return order


async def test_adding_lifts_what_is_in_force_everywhere_and_tells_every_agent_behind_it(manager):
    """The deletes name every order on what overlaps, in the transaction that adds, and the list follows them."""
    await manager.hear("web1", "web2")
    one = await in_force(manager, "web1", "web2")
    two = await in_force(manager, "web1", request_id="r2", address="203.0.113.77", location="agent", agents=("web1",))
    other = await in_force(manager, "web1", request_id="r3", address="192.0.2.1")
    changed = await allow(manager)
    assert {each.lifts for each in changed.lifted} == {(one.id,), (two.id,)}
    assert [each.kind for each in manager.unsent()] == ["order", "order", "policy"]
    ((key, policy),) = manager.policies()
    assert (key, policy.version, policy.caught_up) == ("all", changed.version, "")
    assert policy.entries == (
        PolicyEntry(network=MINE, reason="white_list"),
        PolicyEntry(network=OFFICE, reason="the office"),
    )
    assert manager.woken == 4
    assert (await manager.story(one)).view.lifted_by is not None
    assert (await manager.story(other)).view.lifted_by is None


async def test_what_is_unsent_is_taken_back(manager):
    """A block that the broker doesn't have yet never goes out."""
    await manager.hear("web1")
    order = await manager.block()
    await allow(manager)
    assert [codec.decode(each.body, Order).operation for each in manager.outbox()] == ["delete"]
    assert (await manager.states(order)) == {"web1": "lifted"}


async def test_what_is_exempt_stays(manager):
    """A response that its author exempted from the list isn't lifted by it."""
    await manager.hear("web1")
    body = codec.encode(replace(await in_force(manager, "web1"), exempt=True))
    manager.store.run_now(lambda c: c.execute("UPDATE orders SET body = ?", (body,)))
    assert (await allow(manager)).lifted == ()


async def test_what_is_judged_after_it_is_judged_by_it(manager):
    """A person's block of a member is refused with the entry and its reason, as is one of the whole network."""
    await allow(manager)
    for address in (ATTACKER, "203.0.113.255"):
        with pytest.raises(ProtectedTarget, match=r"is protected by 203\.0\.113\.0/24 \(the office\)"):
            await manager.block(address=address)
    changed = await manager.policy.remove(OFFICE)
    assert changed.network == OFFICE
    assert (await manager.block(address=ATTACKER)).target == ATTACKER


async def test_a_request_that_is_repeated_says_the_same_and_tells_nobody_anew(manager):
    """A retried POST finds the entry there, and its lifts as they were given: none of them is given now."""
    await manager.hear("web1")
    await in_force(manager, "web1")
    first = await allow(manager)
    manager.clock.passed = 5.0
    again = await allow(manager, ATTACKER + "/24")
    assert (again, first.given) == (replace(first, given=()), first.lifted)
    assert len(manager.policies()) == 1


async def test_a_network_has_one_spelling(manager):
    """Host bits, capitals and IPv4 in IPv6: added one way and removed another."""
    await allow(manager, "2001:DB8::7/64")
    await allow(manager, "::ffff:10.1.2.3", request_id="a2")
    assert [each.network for each in (await manager.policy.listing()).entries][1:] == ["10.1.2.3", "2001:db8::/64"]
    assert (await manager.policy.remove("2001:db8::/64")).network == "2001:db8::/64"


@pytest.mark.parametrize("everything", ["0.0.0.0/0", "::/0", "::ffff:0:0/96"])
async def test_everything_is_no_entry(manager, everything):
    """It would lift all there is: whoever wants that is told how to say so."""
    with pytest.raises(InvalidTarget, match="unblock --everything"):
        await allow(manager, everything)


async def test_an_entry_of_the_file_is_taken_out_there(manager):
    """The error says which file, and what to do then; for what isn't on the list it says that."""
    with pytest.raises(
        NotOnAllowlist, match=r"a <white_list> of ossec\.conf: take it out there, and have the file read anew"
    ):
        await manager.policy.remove(MINE)
    with pytest.raises(NotOnAllowlist, match="thwart allow list"):
        await manager.policy.remove("192.0.2.1")
    await allow(manager, MINE)
    await manager.policy.remove(MINE)
    assert [each.network for each in (await manager.policy.listing()).entries] == [MINE]


async def test_the_listing_says_where_each_entry_comes_from(manager):
    """The file's, and who added what, when and why."""
    changed = await allow(manager)
    listing = await manager.policy.listing()
    file, added = listing.entries
    assert (file.network, file.reason, file.source, file.added_at) == (MINE, "white_list", "ossec.conf", None)
    assert (added.network, added.reason, added.source, added.issuer, added.added_at) == (
        OFFICE,
        "the office",
        "",
        "ann",
        START,
    )
    assert listing.version == changed.version


async def test_another_file_lifts_what_it_lists_anew(manager):
    """A reload is an addition: the same lifts, one new version, and what is no longer listed protects no more."""
    await manager.hear("web1")
    order = await in_force(manager, "web1")
    version = manager.policy.version
    changed = await manager.policy.configured(Allowlist.of([OFFICE], "white_list"))
    assert [each.lifts for each in changed.lifted] == [(order.id,)]
    assert changed.version > version
    assert (await manager.block("r2", address=MINE)).target == MINE
    again = await manager.policy.configured(Allowlist.of([OFFICE], "white_list"))
    assert (again.version, again.lifted) == (changed.version, ())


async def test_the_same_list_is_the_same_version_after_a_restart(manager):
    """Agents are told nothing that they know; another list in the file is told at the start."""
    await allow(manager)
    manager.confirm()
    manager.clock.passed = 60.0
    same = manager.policy.version
    assert _another(manager, [MINE]).version == same
    assert manager.policies() == []
    assert _another(manager, [MINE, "192.0.2.0/24"]).version > same
    assert [key for key, _ in manager.policies()] == ["all"]


async def test_a_ledger_that_is_lost_numbers_on(manager, tmp_path):
    """Versions go by the clock: agents that follow the lost one's list take the new one's."""
    before = (await allow(manager)).version
    with a_manager(tmp_path / "anew.db") as anew:
        anew.clock.passed = 30.0
        later = AllowPolicy(
            anew.store, anew.roster, anew.clock, listed=Allowlist(), source="ossec.conf", wake=lambda: None
        )
        assert later.version > before


async def test_a_ledger_that_was_put_back_outdoes_what_agents_know(manager):
    """They show a later version than it has: its list gets one after theirs, once in ten minutes at most."""
    await manager.hear("web1", "web2")
    manager.confirm()
    manager.clock.passed = 1_000.0
    for _ in range(2):
        await manager.hear("web1", policy=int(START) + 500)
    assert manager.policy.version == START + 1_000
    assert [key for key, _ in manager.policies()] == ["all", "agent.web1"]
    for _ in range(2):
        await manager.hear("web1", policy=int(START) + 1_001)
    assert manager.policy.version == START + 1_000


async def test_a_version_from_the_future_is_nobodys(manager):
    """Who makes one up is the only one that it harms."""
    await manager.hear("web1")
    before = manager.policy.version
    for _ in range(3):
        await manager.hear("web1", policy=2**62)
    assert manager.policy.version == before


async def test_many_changes_leave_one_message(manager):
    """While the broker is away a list replaces the one before it, instead of growing a queue of lists."""
    for number in range(20):
        await allow(manager, f"192.0.2.{number}", request_id=f"a{number}")
    ((_, policy),) = manager.policies()
    assert len(policy.entries) == 21


async def test_ten_thousand_entries_can_be_told(manager):
    """Ten thousand IPv6 addresses, with a reason each."""
    await manager.policy.configured(Allowlist.of(_addresses(10_000), "the partners' front ends, by their contract"))
    ((_, policy),) = manager.policies()
    assert len(policy.entries) == 10_000
    with pytest.raises(ProtectedTarget):
        await manager.block(address=_addresses(10_000)[-1])


async def test_more_than_agents_can_be_told_is_refused(manager):
    """As something wrong with the file, or when it is added, with what to do; and the list stays what it was."""
    with pytest.raises(ConfigurationError, match=r"ossec\.conf: 20000 networks .* join some"):
        await manager.policy.configured(Allowlist.of(_addresses(20_000), "x" * 60))
    assert len(manager.policy.allowlist()) == 1
    await manager.policy.configured(Allowlist.of(_addresses(10_000), "x" * 74))
    await allow(manager, "10.0.0.1")
    with pytest.raises(AllowlistFull, match="give shorter reasons"):
        await allow(manager, "10.0.0.2", request_id="a2", reason="y" * 100_000)
    listing = await manager.policy.listing()
    assert len(manager.policy.allowlist()) == len(listing.entries) == 10_001


async def test_a_change_that_cannot_be_written_down_is_none(manager):
    """The list that is judged by is the one in the ledger, also when the disk fails in the middle."""
    manager.store.run_now(lambda c: c.execute("DROP TABLE policy"))
    version = manager.policy.version
    with pytest.raises(StoreError):
        await allow(manager)
    assert (manager.policy.version, len(manager.policy.allowlist())) == (version, 1)


async def test_an_agent_that_joins_is_told_behind_what_it_should_hold(manager):
    """The last message of its catch-up says that this was all."""
    await manager.hear("web1")
    order = await in_force(manager, "web1")
    await manager.hear("web2", policy=0)
    *_, last = manager.unsent()
    assert last.kind == "policy"
    assert [(key, policy.caught_up) for key, policy in manager.policies()] == [("agent.web2", "journal-of-web2")]
    assert [each.message_id for each in manager.outbox()] == [order.id]


async def test_an_agent_that_joins_while_the_manager_is_paused_is_told_and_not_that_this_was_all(manager):
    """It gets the list at once; what ends its catch-up comes when the pause is over."""
    await manager.hear("web1")
    await in_force(manager, "web1")
    await manager.panic.pause("ann", "")
    await manager.hear("web2", policy=0)
    assert [(key, policy.caught_up) for key, policy in manager.policies()] == [("agent.web2", "")]
    manager.confirm()
    await manager.panic.resume()
    manager.clock.passed = 5.0
    for _ in range(2):
        await manager.catch_up.tick()
    assert [(key, policy.caught_up) for key, policy in manager.policies()] == [("agent.web2", "journal-of-web2")]


async def test_an_agent_that_has_another_list_is_told_when_it_says_so_twice(manager):
    """Once may be a change on its way; and then less and less often."""
    await manager.hear("web1")
    manager.confirm()
    sent = []
    for _ in range(30):
        manager.clock.passed += 10.0
        await manager.hear("web1", policy=7)
        sent.append([(key, policy.caught_up) for key, policy in manager.policies()])
        manager.confirm()
    assert sent[:2] == [[], [("agent.web1", "")]]
    assert [number for number, some in enumerate(sent) if some] == [1, 3, 7, 15]
    manager.clock.passed += 10.0
    await manager.hear("web1")
    assert manager.policies() == []


async def test_a_long_list_is_told_a_few_agents_at_a_time(manager, monkeypatch):
    """A list weighs as its entries do, so that telling a whole fleet keeps nobody from the writer."""
    monkeypatch.setattr("manager.catchup.ENTRIES", 5)
    monkeypatch.setattr("manager.catchup.ENOUGH", 40)
    await manager.policy.configured(Allowlist.of(_addresses(100), ""))
    manager.confirm()
    fleet = [f"web{number}" for number in range(1, 7)]
    told = []
    for number in range(6):
        manager.clock.passed = 2.0 * number
        await (manager.hear(*fleet[:3], policy=0) if number == 0 else manager.hear(*fleet[3:], policy=7))
        told.append([key for key, _ in manager.policies()])
        manager.confirm()
    assert max(len(some) for some in told) == 2
    assert {key for some in told for key in some} == {f"agent.{each}" for each in fleet}


async def test_an_alert_about_a_member_orders_nothing_once_it_is_on_the_list(tmp_path, conf, ruleset):
    """Alerts are judged by the list as it is when they are judged, in the transaction that would order."""
    response = "<command>firewall-drop</command><location>all</location><rules_id>5712</rules_id><timeout>60</timeout>"
    configuration = load(conf(f"<active-response>{response}</active-response>"))
    responses = Responses(configuration, ruleset, allowlist=lambda: manager.policy.allowlist())
    with a_manager(tmp_path / "ledger.db", responses.judge) as manager:
        await manager.hear("web1")
        (before,) = await manager.dispatch.take([sighting("alert-1")])
        assert len(before.orders) == 1
        await allow(manager)
        (after,) = await manager.dispatch.take([sighting("alert-2")])
        assert (after.orders, [each.reason for each in after.refusals]) == ((), ["protected"])


def _addresses(count: int) -> list[str]:
    return [str(ip_address((0x20010DB8 << 96) + (number << 64) + 0xABCD_EF01)) for number in range(count)]


def _another(manager: AManager, listed: list[str]) -> AllowPolicy:
    """What the next run of the manager makes of the ledger and such a file."""
    return AllowPolicy(
        manager.store,
        manager.roster,
        manager.clock,
        listed=Allowlist.of(listed, "white_list"),
        source="ossec.conf",
        wake=lambda: None,
    )


async def test_an_entry_for_a_time_ends_by_itself(manager):
    """While it lasts nothing is blocked; then agents are told a list without it, and it can be blocked again."""
    await manager.hear("web1")
    await manager.policy.add(AllowRequest(request_id="a1", network=ATTACKER, keep=600.0))
    listed = (await manager.policy.listing()).entries[-1]
    assert (listed.network, listed.until) == (ATTACKER, START + 600)
    manager.clock.passed += 599
    await manager.policy.end_due()
    with pytest.raises(ProtectedTarget):
        await manager.block()
    before = manager.policy.version
    manager.clock.passed += 1
    await manager.policy.end_due()
    key, policy = manager.policies()[-1]
    assert (key, [each.network for each in policy.entries]) == ("all", [MINE])
    assert policy.version == manager.policy.version > before
    await manager.block()


async def test_the_later_end_counts(manager):
    """An entry that is there for good is not shortened by keeping it for an hour, nor the longer of two spans."""
    for network, spans, until in (
        ("192.0.2.1", (None, 60.0), None),
        ("192.0.2.2", (60.0, None), None),
        ("192.0.2.3", (60.0, 30.0), START + 60),
        ("192.0.2.4", (30.0, 60.0), START + 60),
    ):
        for number, span in enumerate(spans):
            await manager.policy.add(AllowRequest(request_id=f"{network}-{number}", network=network, keep=span))
        found = {each.network: each.until for each in (await manager.policy.listing()).entries}
        assert found[network] == until


async def test_an_end_that_came_while_the_manager_was_away_is_told_at_its_start(manager):
    """The list that a new start makes is without what is over."""
    await manager.policy.add(AllowRequest(request_id="a1", network=ATTACKER, keep=600.0))
    manager.clock.passed += 601
    again = AllowPolicy(
        manager.store, manager.roster, manager.clock, listed=Allowlist(), source="ossec.conf", wake=lambda: None
    )
    assert not again.allowlist().protects(ATTACKER)
