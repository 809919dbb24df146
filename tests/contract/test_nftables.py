"""What firewall-drop by nftables promises beyond the contract: packets are dropped, and nft's moods are borne."""

import threading
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.actions.action import Action, Effect
from agent.actions.firewall_drop import libnftables, sets
from agent.actions.firewall_drop.libnftables import Libnftables
from agent.actions.firewall_drop.nftables import Nftables
from agent.actions.tools.netlink import ATTEMPTS, Netlink
from agent.actions.tools.places import place_of
from shared.errors import ActionError
from shared.targets import parse_network, text_of
from tests.contract.subject import InKernel, There
from tests.stage.network import Host, Network
from tests.stage.probe import Listener, dropped, side_by_side
from tests.waiting import wait_for

BLOCKED4, BLOCKED6, OTHER4, OTHER6 = "203.0.113.7", "2001:db8:bad::7", "203.0.113.8", "2001:db8:bad::8"
BUSY = "Could not process rule: Device or resource busy"
SHORT = 0.3  # s within which an answer that comes has come


class Moody:
    """A kernel that says `words` before it does what it is told, as often as it is told to."""

    def __init__(self, kernel: Libnftables | None, words: str, times: int) -> None:
        self._kernel, self._words, self._left = kernel, words, times
        self.asked = 0

    def run(self, commands: str) -> str:
        self.asked += 1
        if self._left:
            self._left -= 1
            raise ActionError(self._words)
        return self._kernel.run(commands) if self._kernel else ""


@pytest.mark.root
@pytest.mark.parametrize("left", [0.0004, 0.0, -5.0])
def test_what_is_all_but_over_is_not_for_ever(in_kernel: InKernel, left: float) -> None:
    """To nft no milliseconds are no end."""
    assert not in_kernel.action.apply([Effect(key=BLOCKED4, target=BLOCKED4, left=left)])[0].problem
    wait_for(lambda: in_kernel.seen() == {})


@pytest.mark.root
def test_packets_of_a_blocked_host_are_dropped_and_counted(in_kernel: InKernel, web: Host, attacker: Host) -> None:
    """Both families; another address of the same attacker gets through, and so does the blocked one afterwards."""
    listener = Listener(web)
    everybody = [(source, listener) for source in (BLOCKED4, BLOCKED6, OTHER4, OTHER6)]
    assert side_by_side(attacker, everybody) == [True] * 4
    assert dropped(web) == 0
    _apply(in_kernel.action, BLOCKED4, BLOCKED6)
    assert side_by_side(attacker, everybody, within=SHORT) == [False, False, True, True]
    counted = dropped(web)
    assert counted >= 2
    in_kernel.action.prepare()
    assert dropped(web) == counted, "a restart must not set the counters back"
    in_kernel.action.revert([_effect(BLOCKED4), _effect(BLOCKED6)])
    assert side_by_side(attacker, everybody) == [True] * 4
    listener.close()


@pytest.mark.root
@pytest.mark.parametrize(
    ("wide", "narrow", "hosts"),
    [
        ("203.0.113.0/24", "203.0.113.0/25", ("203.0.113.7", "203.0.113.8", "203.0.113.200")),
        ("2001:db8:bad::/64", "2001:db8:bad::/120", ("2001:db8:bad::7", "2001:db8:bad::8", "2001:db8:bad::200")),
    ],
)
def test_packets_of_a_blocked_network_are_dropped(
    in_kernel: InKernel, web: Host, attacker: Host, wide: str, narrow: str, hosts: tuple[str, ...]
) -> None:
    """Until its own end: the wide one's frees who is in it alone, the narrow one's all but the host."""
    listener = Listener(web)
    everybody = [(source, listener) for source in hosts]
    assert side_by_side(attacker, everybody) == [True, True, True]
    _apply(in_kernel.action, hosts[0], narrow)
    assert side_by_side(attacker, everybody, within=SHORT) == [False, False, True]
    in_kernel.action.apply([_effect(wide, 1.0)])
    assert side_by_side(attacker, everybody, within=SHORT) == [False, False, False]
    in_kernel.ends(wide, 1.0)
    assert side_by_side(attacker, everybody, within=SHORT) == [False, False, True]
    in_kernel.action.revert([_effect(narrow)])
    assert side_by_side(attacker, everybody, within=SHORT) == [False, True, True]
    in_kernel.action.revert([_effect(hosts[0])])
    assert side_by_side(attacker, everybody) == [True, True, True]
    listener.close()


@pytest.mark.root
def test_networks_of_an_earlier_run_stay_blocked(in_kernel: InKernel, web: Host, attacker: Host) -> None:
    """A new process finds the sets that the one before it made, whatever it blocks first."""
    listener = Listener(web)
    pairs = [(BLOCKED4, listener), (OTHER6, listener)]
    _apply(in_kernel.action, "203.0.113.0/24", "2001:db8:bad::/64")
    for first in ("prepare", "apply", "revert"):
        there = There(web, Nftables)
        there.prepare() if first == "prepare" else getattr(there, first)([_effect("192.0.2.99")])
        assert side_by_side(attacker, pairs, within=SHORT) == [False, False]
        there.close()
    listener.close()


@pytest.mark.root
def test_sets_that_an_earlier_version_declared_are_gone_on_with(in_kernel: InKernel, web: Host) -> None:
    """By `type`, and with what is in them: that stays, ends when it is to, and has new ones beside it."""
    before, network, later = BLOCKED4, "203.0.113.0/24", ("2001:db8:bad::/64", "198.51.100.0/24", OTHER6)
    wanted = {place_of(each): 60.0 for each in (before, network)}
    commands = sets.declared([each.set for each in wanted]) + sets.put(wanted)
    for family, version in (("ip", 4), ("ip6", 6)):
        commands = commands.replace(f"typeof {family} saddr", f"type ipv{version}_addr")
    web.run("nft", "-f", "-", text=f"flush ruleset\n{commands}")
    assert "type ipv4_addr" in _ruleset(web)
    there = There(web, Nftables)
    there.prepare()
    _apply(there, *later)
    assert set(there.inspect()) == {before, network, *later}
    assert not [done.problem for done in there.revert([_effect(before), _effect(network)]) if done.problem]
    assert set(there.inspect()) == set(later)
    there.close()


@pytest.mark.root
def test_a_set_of_networks_goes_with_the_last_of_them(in_kernel: InKernel, web: Host) -> None:
    """Lifted or ended, by this run or an earlier one: no packet is looked up in sets that nobody needs."""
    _apply(in_kernel.action, "203.0.113.0/24", "198.51.100.0/24", "2001:db8::/64", "192.0.2.99")
    in_kernel.action.revert([_effect("203.0.113.0/24"), _effect("2001:db8::/64")])
    assert "nets4_24" in _ruleset(web)
    assert "nets6_64" not in _ruleset(web)
    in_kernel.action.apply([_effect("198.51.100.0/24", 0.05)])
    in_kernel.ends("198.51.100.0/24", 0.05)
    in_kernel.action.prepare()
    assert "nets" not in _ruleset(web)
    assert set(in_kernel.action.inspect()) == {"192.0.2.99"}


@pytest.mark.root
def test_packets_that_are_passed_on_are_dropped_too(
    in_kernel: InKernel, stage: Network, web: Host, attacker: Host
) -> None:
    """What is behind a host, as containers are, is protected like the host itself."""
    behind = stage.host("behind", 12)
    listener = Listener(behind)
    attacker.run("ip", "route", "add", behind.address, "via", web.address)
    web.call(lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1"))
    web.call(lambda: Path("/proc/sys/net/ipv4/conf/all/send_redirects").write_text("0"))
    web.call(lambda: Path("/proc/sys/net/ipv4/conf/eth0/send_redirects").write_text("0"))
    pairs = [(BLOCKED4, listener), (OTHER4, listener)]
    assert side_by_side(attacker, pairs) == [True, True]
    _apply(in_kernel.action, BLOCKED4)
    assert side_by_side(attacker, pairs, within=SHORT) == [False, True]
    assert dropped(web) > 0
    listener.close()


@pytest.mark.root
def test_elements_without_rules_are_not_in_force(in_kernel: InKernel, web: Host, attacker: Host) -> None:
    """After `nft flush table` the sets are full and nothing is dropped; the next block puts that right."""
    listener = Listener(web)
    _apply(in_kernel.action, BLOCKED4)
    web.run("nft", "flush", "table", "inet", "thwart")
    assert in_kernel.action.inspect() == {}
    _apply(in_kernel.action, OTHER6)
    assert set(in_kernel.action.inspect()) == {BLOCKED4, OTHER6}
    assert side_by_side(attacker, [(BLOCKED4, listener), (OTHER4, listener)], within=SHORT) == [False, True]
    listener.close()


@pytest.mark.root
def test_what_is_not_dropped_for_now_is_looked_at_again(in_kernel: InKernel, web: Host) -> None:
    """The next block brings the rules back, and with them what somebody had put into the sets meanwhile."""
    in_kernel.action.inspect()
    web.run("nft", "flush table inet thwart; add element inet thwart hosts4 { 203.0.113.99 }")
    assert in_kernel.action.inspect() == {}
    assert in_kernel.action.moved()
    _apply(in_kernel.action, BLOCKED4)
    assert in_kernel.action.moved()
    assert set(in_kernel.action.inspect()) == {BLOCKED4, "203.0.113.99"}
    assert not in_kernel.action.moved()


@pytest.mark.root
@pytest.mark.parametrize(
    ("key", "strange"),
    [
        ("203.0.113.0/24", "nets4_24 { 203.0.113.7 }"),
        (BLOCKED4, "hosts6 { ::ffff:203.0.113.7 }"),
        ("2001:db8::/64", "nets6_64 { 2001:db8::7 }"),
    ],
)
def test_what_no_packet_can_match_is_not_taken_for_a_block(
    in_kernel: InKernel, web: Host, key: str, strange: str
) -> None:
    """Somebody put it into our sets by hand. Whoever took it out by its spelling would end somebody else's block."""
    _apply(in_kernel.action, key)
    web.run("nft", f"add element inet thwart {strange}")
    assert set(in_kernel.action.inspect()) == {key}


@pytest.mark.root
def test_an_element_for_everything_is_told(in_kernel: InKernel, web: Host) -> None:
    """It is no address, so only a person can take it out; until then the agent says so, and goes on."""
    web.run("nft", "add element inet thwart hosts6 { * }")
    with pytest.raises(ActionError, match=r"hosts6 has an element that isn't Thwart's; `nft list"):
        in_kernel.action.inspect()


@pytest.mark.root
def test_a_table_that_was_put_to_sleep_blocks_nobody(in_kernel: InKernel, web: Host) -> None:
    """Its sets and rules are all there. The next block wakes it."""
    _apply(in_kernel.action, BLOCKED4)
    web.run("nft", "add table inet thwart { flags dormant; }")
    assert in_kernel.action.inspect() == {}
    _apply(in_kernel.action, BLOCKED4)
    assert set(in_kernel.action.inspect()) == {BLOCKED4}


@pytest.mark.root
def test_a_rule_before_ours_is_found(in_kernel: InKernel, web: Host, attacker: Host) -> None:
    """Who is let through by it isn't blocked, whatever the sets say."""
    listener = Listener(web)
    _apply(in_kernel.action, BLOCKED4)
    in_kernel.action.inspect()
    web.run("nft", "insert rule inet thwart input accept")
    assert side_by_side(attacker, [(BLOCKED4, listener)]) == [True]
    assert in_kernel.action.moved()
    assert in_kernel.action.inspect() == {}
    _apply(in_kernel.action, BLOCKED4)
    assert side_by_side(attacker, [(BLOCKED4, listener)], within=SHORT) == [False]
    assert set(in_kernel.action.inspect()) == {BLOCKED4}
    listener.close()


@pytest.mark.root
@pytest.mark.parametrize(
    "command",
    ["delete element inet thwart hosts4 { 203.0.113.7 }", "add table ip theirs", "delete table inet thwart"],
)
def test_whatever_others_change_moves_it(in_kernel: InKernel, web: Host, command: str) -> None:
    """In our table, and elsewhere too: the kernel counts the changes of all tables together."""
    _apply(in_kernel.action, BLOCKED4)
    in_kernel.action.inspect()
    web.run("nft", "list ruleset")
    assert not in_kernel.action.moved(), "who only looks changes nothing"
    web.run("nft", command)
    assert in_kernel.action.moved()


@pytest.mark.root
def test_somebody_who_never_stops_changing_his_table_hides_nothing(in_kernel: InKernel, web: Host) -> None:
    """However long it takes to read ours; it counts as moved, and is read again."""
    keys = [f"10.3.{number >> 8}.{number & 255}" for number in range(20_000)]
    _apply(in_kernel.action, *keys)
    done = threading.Event()

    def change() -> None:
        theirs = Libnftables()
        while not done.is_set():
            theirs.run("add table ip theirs; delete table ip theirs")

    somebody = threading.Thread(target=lambda: web.call(change))
    somebody.start()
    found = [in_kernel.action.inspect() for _ in range(3)]
    assert in_kernel.action.moved()
    done.set()
    somebody.join()
    assert [set(each) for each in found] == [set(keys)] * 3


@pytest.mark.root
def test_an_end_that_comes_moves_nothing(in_kernel: InKernel) -> None:
    """Else an agent with many blocks would read all of them all the time."""
    in_kernel.action.apply([_effect(BLOCKED4, 0.1), _effect("198.51.100.0/24", 0.1)])
    in_kernel.action.inspect()
    ended = in_kernel.there.call(Netlink)
    wait_for(lambda: in_kernel.there.call(lambda: ended.is_empty("thwart", "hosts4")), within=2)
    wait_for(lambda: in_kernel.there.call(lambda: ended.is_empty("thwart", "nets4_24")), within=2)
    assert not in_kernel.action.moved()


@pytest.mark.root
def test_other_tables_are_left_alone(in_kernel: InKernel, web: Host) -> None:
    """Whatever is done, what others put into the firewall stays as it is."""
    theirs = "table ip theirs { chain input { type filter hook input priority 0; counter drop; }; }"
    web.run("nft", "-f", "-", text=theirs)
    before = web.run("nft", "list", "table", "ip", "theirs")
    _apply(in_kernel.action, BLOCKED4)
    in_kernel.action.prepare()
    in_kernel.action.revert([_effect(BLOCKED4)])
    assert web.run("nft", "list", "table", "ip", "theirs") == before


@pytest.mark.root
def test_a_hostile_key_does_not_reach_nft(in_kernel: InKernel, web: Host) -> None:
    """Even if one got past `key`, it is answered and the firewall is as it was."""
    _apply(in_kernel.action, BLOCKED4)
    before = web.run("nft", "-s", "list", "ruleset")
    for text in ("203.0.113.9 } ; flush ruleset", "0.0.0.0/0", "2001:db8::1%; flush ruleset"):
        (result,) = in_kernel.action.apply([_effect(text)])
        assert result.problem
        (result,) = in_kernel.action.revert([_effect(text)])
        assert result.problem
    assert set(in_kernel.action.inspect()) == {BLOCKED4}
    assert web.run("nft", "-s", "list", "ruleset").count("drop") == before.count("drop")


@pytest.mark.root
def test_what_failed_is_told_in_nfts_words(in_kernel: InKernel) -> None:
    """Without the command, which may be a thousand hosts long."""
    in_kernel.spoil(BLOCKED4)
    (result,) = in_kernel.action.apply([_effect(BLOCKED4)])
    assert result.problem == "Could not process rule: Numerical result out of range"


@pytest.mark.root
def test_a_passing_mood_of_the_kernel_is_waited_out(web: Host) -> None:
    """On large sets it says EBUSY or ENOENT now and then; nobody's order fails for that."""
    pauses: list[float] = []
    there = There(web, lambda: Nftables(lambda: Moody(Libnftables(), BUSY, ATTEMPTS - 1), pauses.append))
    assert [result.problem for result in there.apply([_effect(BLOCKED4), _effect(BLOCKED6)])] == ["", ""]
    assert set(there.inspect()) == {BLOCKED4, BLOCKED6}
    assert len(pauses) == ATTEMPTS - 1
    assert len(set(pauses)) > 1, "with jitter"
    web.run("nft", "flush", "ruleset")
    there.close()


@pytest.mark.root
def test_a_table_of_that_name_that_is_not_ours_is_told(in_kernel: InKernel, web: Host) -> None:
    """It says what to do about it, and leaves the table alone."""
    theirs = "table inet thwart { set hosts4 { type ipv6_addr; }; }"
    web.run("nft", "-f", "-", text=f"flush ruleset; {theirs}")
    with pytest.raises(ActionError, match="nft delete table inet thwart"):
        in_kernel.action.prepare()
    (result,) = in_kernel.action.apply([_effect(BLOCKED4)])
    assert "datatype mismatch" in result.problem
    assert result.problem.endswith("`nft delete table inet thwart`")
    assert "chain" not in web.run("nft", "list", "table", "inet", "thwart")


@pytest.mark.parametrize(
    ("key", "name", "address"),
    [
        ("203.0.113.9", "hosts4", "203.0.113.9"),
        ("203.0.113.9/32", "hosts4", "203.0.113.9"),
        ("::ffff:203.0.113.9", "hosts4", "203.0.113.9"),
        ("203.0.113.9/24", "nets4_24", "203.0.113.0"),
        ("2001:DB8::0:9", "hosts6", "2001:db8::9"),
        ("::203.0.113.9", "hosts6", "::cb00:7109"),
        ("2001:db8::9/48", "nets6_48", "2001:db8::"),
    ],
)
def test_a_key_has_one_place_however_it_is_spelled(key: str, name: str, address: str) -> None:
    """The effect that was put there is the one that is taken out again."""
    place = place_of(key)
    assert (place.set.name, place.address) == (name, address)


@given(st.ip_addresses(), st.integers(1, 128))
@example(IPv6Address("::203.0.113.9"), 128)
def test_the_key_that_is_told_is_the_one_that_was_put(address: IPv4Address | IPv6Address, length: int) -> None:
    """For every address and network of both families; `inet_ntop` and `ipaddress` don't spell all of them alike."""
    key = text_of(parse_network(f"{address}/{min(length, address.max_prefixlen)}"))
    place = place_of(key)
    assert place.set.key(ip_address(place.address).packed) == key


def test_when_nothing_works_no_culprit_is_looked_for() -> None:
    """A thousand orders fail at once, for the one reason that there is."""
    kernel = Moody(None, "Operation not permitted", times=10_000)
    results = Nftables(lambda: kernel).apply([_effect(f"10.0.{number >> 8}.{number & 255}") for number in range(1_000)])
    assert {result.problem for result in results} == {
        "Operation not permitted; run the agent as root or with CAP_NET_ADMIN"
    }
    assert kernel.asked == 2


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("cache initialization failed: Operation not permitted", "CAP_NET_ADMIN"),
        ("syntax error", "nft list table inet thwart"),
    ],
)
def test_what_is_missing_is_told_with_what_to_do(words: str, advice: str) -> None:
    """The agent says it at its start, not with the first order."""
    with pytest.raises(ActionError, match=advice) as caught:
        Nftables(lambda: Moody(None, words, times=10_000)).prepare()
    assert words in str(caught.value)


def test_a_missing_library_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """For `prepare` it is an ActionError, and every order is answered with it."""
    monkeypatch.setattr(libnftables, "LIBRARY", "libnftables.so.0")
    with pytest.raises(ActionError, match=r"^nftables: libnftables\.so\.0: not found; install nftables$"):
        Nftables().prepare()
    (result,) = Nftables().apply([_effect(BLOCKED4)])
    assert "install nftables" in result.problem


@pytest.mark.root
def test_another_thread_is_turned_away(in_kernel: InKernel, web: Host) -> None:
    """The context's socket is the making thread's; a second one at the same time would corrupt it."""
    kernel = in_kernel.there.call(Libnftables)
    with pytest.raises(ActionError, match="thread"):
        web.call(lambda: kernel.run("list ruleset"))


def _apply(action: Action, *keys: str) -> None:
    assert not [result for result in action.apply([_effect(key) for key in keys]) if result.problem]


def _effect(key: str, left: float = 60) -> Effect:
    return Effect(key=key, target=key, left=left)


def _ruleset(host: Host) -> str:
    return host.run("nft", "list", "ruleset")
