"""What firewall-drop by ipset and by iptables promises beyond the contract: packets are dropped, whatever others do."""

import fcntl
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.actions.action import Effect
from agent.actions.firewall_drop import ipset
from agent.actions.firewall_drop.ipset import Ipset
from agent.actions.firewall_drop.iptables import Iptables
from agent.actions.tools.tool import Tools
from shared.errors import ActionError, ThwartError
from tests.contract.in_filter import InFilter, programs_of, skip_without_legacy
from tests.contract.subject import There
from tests.stage.network import Host, Network
from tests.stage.probe import Listener, side_by_side
from tests.waiting import wait_for

pytestmark = pytest.mark.root

BLOCKED4, BLOCKED6, OTHER4, OTHER6 = "203.0.113.7", "2001:db8:bad::7", "203.0.113.8", "2001:db8:bad::8"
NETWORK4, NETWORK6, WIDE6 = "203.0.113.0/28", "2001:db8:bad::/124", "2001:db8:bad::/120"
SHORT = 0.2  # s within which an answer that comes has come
FAILS = "#!/bin/sh\necho 'Address family not supported by protocol' >&2\nexit 3\n"


@pytest.fixture(params=[f"{make.backend}-{variant}" for make in (Iptables, Ipset) for variant in ("nft", "legacy")])
def filtered(request: pytest.FixtureRequest, web: Host, tmp_path: Path) -> Iterator[InFilter]:
    """Each backend with each variant, prepared, with nothing in force."""
    backend, variant = request.param.split("-")
    if variant == "legacy":
        skip_without_legacy(web)
    one = InFilter(web, Iptables if backend == "iptables" else Ipset, programs_of(variant, tmp_path / "programs"))
    yield one
    one.close()


def test_packets_of_a_blocked_host_are_dropped(filtered: InFilter, web: Host, attacker: Host) -> None:
    """Both families; another address of the same attacker gets through, and so does the blocked one afterwards."""
    listener = Listener(web)
    everybody = [(source, listener) for source in (BLOCKED4, BLOCKED6, OTHER4, OTHER6)]
    assert side_by_side(attacker, everybody) == [True] * 4
    _apply(filtered, BLOCKED4, BLOCKED6)
    assert side_by_side(attacker, everybody, within=SHORT) == [False, False, True, True]
    _revert(filtered, BLOCKED4, BLOCKED6)
    assert side_by_side(attacker, everybody) == [True] * 4
    listener.close()


def test_packets_of_a_blocked_network_are_dropped(filtered: InFilter, web: Host, attacker: Host) -> None:
    """A wider one that begins at the same address goes without it, and without the host in it."""
    listener = Listener(web)
    hosts = (BLOCKED4, "203.0.113.200", BLOCKED6, OTHER6, "2001:db8:bad::200")
    everybody = [(source, listener) for source in hosts]
    _apply(filtered, NETWORK4, WIDE6, NETWORK6, BLOCKED6)
    assert side_by_side(attacker, everybody, within=SHORT) == [False, True, False, False, True]
    _revert(filtered, WIDE6)
    assert side_by_side(attacker, everybody, within=SHORT) == [False, True, False, False, True]
    _revert(filtered, NETWORK4, NETWORK6)
    assert side_by_side(attacker, everybody, within=SHORT) == [True, True, False, True, True]
    listener.close()


def test_packets_that_are_passed_on_are_dropped_too(
    filtered: InFilter, behind: Host, web: Host, attacker: Host
) -> None:
    """What is behind a host, as containers are, is protected like the host itself."""
    listener = Listener(behind)
    pairs = [(BLOCKED4, listener), (OTHER4, listener)]
    assert side_by_side(attacker, pairs) == [True, True]
    _apply(filtered, BLOCKED4)
    assert side_by_side(attacker, pairs, within=SHORT) == [False, True]
    listener.close()


def test_nobody_is_let_in_before_the_blocked_are_dropped(filtered: InFilter, web: Host, attacker: Host) -> None:
    """Somebody's rule at the head of INPUT accepts all: a block behind it isn't in force, and the next is before it."""
    listener = Listener(web)
    _apply(filtered, BLOCKED4)
    filtered.run("iptables", "-I", "INPUT", "-j", "ACCEPT")
    assert side_by_side(attacker, [(BLOCKED4, listener)]) == [True]
    assert BLOCKED4 not in filtered.action.inspect()
    _apply(filtered, OTHER4)
    pairs = [(source, listener) for source in (BLOCKED4, OTHER4, "203.0.113.200")]
    assert side_by_side(attacker, pairs, within=SHORT) == [False, False, True]
    assert filtered.action.moved(), "what came into force with it is to be looked at"
    assert set(filtered.action.inspect()) == {BLOCKED4, OTHER4}
    listener.close()


def test_nobody_gets_out_of_the_chain_before_the_end(filtered: InFilter) -> None:
    """Somebody's rule in our own chain may let anybody pass; the next block throws it out and keeps ours."""
    _apply(filtered, BLOCKED4)
    filtered.run("iptables", "-I", _chain(filtered), "-j", "RETURN")
    assert filtered.action.inspect() == {}
    _apply(filtered, OTHER4)
    assert set(filtered.action.inspect()) == {BLOCKED4, OTHER4}
    assert not [rule for rule in filtered.rules(4) if "RETURN" in rule]


def test_no_rule_is_there_twice(filtered: InFilter) -> None:
    """Not even when somebody has restored what he saved on top of what is there: one lift ends a block."""
    _apply(filtered, BLOCKED4, BLOCKED6)
    filtered.action.prepare()
    assert len(filtered.rules(4)) == len(set(filtered.rules(4))) == 3
    saved = "".join(f"{rule}\n" for rule in filtered.rules(4))
    filtered.run("iptables-restore", "--noflush", text=f"*filter\n{saved}COMMIT\n")
    assert len(filtered.rules(4)) == 6
    _apply(filtered, BLOCKED4)
    assert len(filtered.rules(4)) == len(set(filtered.rules(4))) == 3
    filtered.run("iptables-restore", "--noflush", text=f"*filter\n{saved}COMMIT\n")
    _revert(filtered, BLOCKED4)
    assert filtered.seen() == {BLOCKED6}


def test_what_comes_into_force_with_a_block_is_looked_at(filtered: InFilter) -> None:
    """Somebody empties our chain, or takes out a rule; the next block puts back what it needs, and hides nothing."""
    _apply(filtered, BLOCKED4, NETWORK4)
    filtered.action.inspect()
    filtered.run("iptables", "-D", _chain(filtered), "1")
    filtered.later()
    assert filtered.action.moved()
    before = set(filtered.action.inspect())
    assert before == ({NETWORK4} if filtered.action.backend == "iptables" else set())
    _apply(filtered, OTHER4)
    assert filtered.action.moved() == (filtered.action.backend == "ipset"), "all of the set is in force again"
    filtered.action.inspect()
    filtered.run("iptables", "-F", _chain(filtered))
    _apply(filtered, OTHER6, BLOCKED4)
    assert filtered.action.moved(), "before it is time to look"
    assert filtered.action.inspect().keys() == filtered.seen()


def test_an_address_goes_whichever_way_it_is_spelled(filtered: InFilter) -> None:
    """Tools spell the end of some IPv6 addresses as an IPv4 address."""
    _apply(filtered, "::cb00:7109", "2001:db8::cb00:7109")
    assert filtered.action.inspect().keys() == filtered.seen() == {"::cb00:7109", "2001:db8::cb00:7109"}
    _revert(filtered, "::cb00:7109")
    assert filtered.action.inspect().keys() == filtered.seen() == {"2001:db8::cb00:7109"}


def test_nobodys_spelling_of_an_address_is_no_block(filtered: InFilter) -> None:
    """An IPv4 address in IPv6's spelling comes in no packet: it is neither told, nor does it end the agent."""
    _apply(filtered, BLOCKED6)
    for each in ("::ffff:203.0.113.7", "::ffff:0.0.0.0/96"):
        if filtered.programs[0] == "ipset":
            filtered.run("ipset", "add", "thwart6", each)
        else:
            filtered.run("ip6tables", "-A", "thwart", "-s", each, "-j", "DROP")
    assert set(filtered.action.inspect()) == {BLOCKED6}


def test_what_can_change_nothing_is_known_at_the_start(filtered: InFilter, tmp_path: Path) -> None:
    """Also when all is there by an earlier run; and no culprit is looked for among a hundred orders then."""
    programs, runs = tmp_path / "failing", tmp_path / "runs"
    programs.mkdir()
    for each in ("iptables-restore", "ip6tables-restore", "ipset"):
        (programs / each).write_text(f"#!/bin/sh\necho {each} >> {runs}\n{FAILS.partition(chr(10))[2]}")
        (programs / each).chmod(0o755)
    broken = filtered.made(Tools(path=f"{programs}:{filtered.tools.path}"))
    with pytest.raises(ActionError, match="Address family not supported"):
        broken.prepare()
    runs.write_text("")
    results = broken.apply([_effect(each) for each in filtered.many[:100]])
    assert {("Address family not supported" in each.problem) for each in results} == {True}
    assert len(runs.read_text().split()) <= 8, "a few for each family"


def test_who_may_not_look_up_sets_is_told_what_is_missing(web: Host, tmp_path: Path) -> None:
    """nftables, iptables-nft and routes need CAP_NET_ADMIN and no more."""
    tools = f"Tools(path={str(programs_of('nft', tmp_path / 'programs'))!r})"
    prepare = f"{Ipset.__name__}(tools={tools}).prepare()"
    imported = f"from {Ipset.__module__} import Ipset; from {Tools.__module__} import Tools"
    with pytest.raises(ThwartError, match=r"socket to ipset.*; run the agent as root or with CAP_NET_RAW"):
        web.run("setpriv", "--bounding-set=-net_raw", sys.executable, "-c", f"{imported}; {prepare}")


def test_who_may_not_open_the_lock_is_told_what_is_missing(web: Host, tmp_path: Path) -> None:
    """It is root's, and iptables-legacy does nothing without it."""
    tools = Tools(
        path=str(programs_of("legacy", tmp_path / "programs")), environment={"XTABLES_LOCKFILE": "/nowhere/x"}
    )
    there = There(web, lambda: Iptables(tools=tools))
    with pytest.raises(ActionError, match=r"lock file.*; run the agent as root"):
        there.prepare()
    there.close()


def test_a_yes_alone_is_no_block(filtered: InFilter, tmp_path: Path) -> None:
    """An iptables-restore that says it is done and does nothing: the rules are looked for."""
    for each in ("iptables-restore", "ip6tables-restore"):
        (tmp_path / each).write_text("#!/bin/sh\n")
        (tmp_path / each).chmod(0o755)
    filtered.flush()
    lied_to = filtered.made(Tools(path=f"{tmp_path}:{filtered.tools.path}"))
    results = lied_to.apply([_effect(BLOCKED4), _effect(BLOCKED6)])
    assert {each.problem.partition("-restore ")[2] for each in results} == {
        "reported success, and the rules are not there"
    }


def test_what_others_have_stays(filtered: InFilter) -> None:
    """Their chains, rules and sets, whatever is put, taken and looked at."""
    theirs = "*filter\n:theirs - [0:0]\n-A INPUT -j theirs\n-A theirs -s 192.0.2.99/32 -j DROP\nCOMMIT\n"
    filtered.run("iptables-restore", "--noflush", text=theirs)
    filtered.run("ipset", "create", "others", "hash:ip")
    filtered.run("ipset", "add", "others", "192.0.2.98")
    _apply(filtered, BLOCKED4, NETWORK4)
    assert set(filtered.action.inspect()) == {BLOCKED4, NETWORK4}
    _revert(filtered, BLOCKED4, NETWORK4)
    filtered.action.prepare()
    assert {"-A INPUT -j theirs", "-A theirs -s 192.0.2.99/32 -j DROP"} < set(filtered.rules(4))
    assert "192.0.2.98" in filtered.run("ipset", "list", "others")


def test_a_host_without_ipv6_blocks_all_the_same(filtered: InFilter, web: Host, tmp_path: Path) -> None:
    """Its ip6tables can't work, and no packet comes by IPv6; with IPv6, half a firewall is none."""
    for each in ("ip6tables", "ip6tables-restore"):
        (tmp_path / each).write_text(FAILS)
        (tmp_path / each).chmod(0o755)
    tools = Tools(path=f"{tmp_path}:{filtered.tools.path}")
    make = Iptables if filtered.action.backend == "iptables" else Ipset
    with pytest.raises(ActionError, match="Address family not supported"):
        filtered.made(tools).prepare()
    without = There(web, lambda: make(tools=tools, ipv6=tmp_path / "if_inet6"))
    without.prepare()
    results = without.apply([_effect(BLOCKED4), _effect(BLOCKED6)])
    assert [bool(each.problem) for each in results] == [False, True]
    assert "Address family not supported" in results[1].problem
    assert set(without.inspect()) == {BLOCKED4} == filtered.seen()
    without.close()


def test_the_lock_of_all_iptables_is_waited_for(web: Host, tmp_path: Path) -> None:
    """Docker, kube-proxy, fail2ban: a block that comes while one of them holds it is late, and not failed."""
    skip_without_legacy(web)
    lock = tmp_path / "xtables.lock"
    tools = Tools(path=str(programs_of("legacy", tmp_path / "programs")), environment={"XTABLES_LOCKFILE": str(lock)})
    there = There(web, lambda: Iptables(tools=tools))
    there.prepare()
    problems: list[str] = []
    thread = threading.Thread(target=lambda: problems.extend(each.problem for each in there.apply([_effect(BLOCKED4)])))
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        thread.start()
        wait_for(lambda: re.search(rf"-> FLOCK .*:{lock.stat().st_ino} ", Path("/proc/locks").read_text()))
        assert problems == []
    thread.join()
    assert problems == [""]
    there.revert([_effect(BLOCKED4)])
    there.close()


@pytest.fixture(scope="module")
def behind(stage: Network, web: Host, attacker: Host) -> Host:
    """A host to which the attacker's packets come by way of `web`."""
    one = stage.host("behind", 12)
    attacker.run("ip", "route", "add", one.address, "via", web.address)
    for name, value in (("ip_forward", "1"), ("conf/all/send_redirects", "0"), ("conf/eth0/send_redirects", "0")):
        web.call(lambda name=name, value=value: Path("/proc/sys/net/ipv4", name).write_text(value))
    return one


def _chain(filtered: InFilter) -> str:
    return "thwart" if filtered.action.backend == "iptables" else "thwart-set"


def _apply(filtered: InFilter, *keys: str) -> None:
    assert [each.problem for each in filtered.action.apply([_effect(key) for key in keys])] == [""] * len(keys)


def _revert(filtered: InFilter, *keys: str) -> None:
    assert [each.problem for each in filtered.action.revert([_effect(key) for key in keys])] == [""] * len(keys)


def _effect(key: str, left: float = 60) -> Effect:
    return Effect(key=key, target=key, left=left)


def test_the_kernel_ends_nothing_before_the_agent() -> None:
    """It knows whole seconds, and no more than 24 days: what is to stay longer is ended by the agent alone."""
    spans = (None, -1.0, 0.0, 0.2, 59.1, ipset.LONGEST, ipset.LONGEST + 0.5)
    assert [ipset._timeout(left) for left in spans] == [0, 1, 1, 1, 60, ipset.LONGEST, 0]
