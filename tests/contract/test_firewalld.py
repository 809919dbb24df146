"""firewalld-drop by a real firewalld on a bus of its own: the contract, and what it promises beyond it."""

import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agent.actions.action import Result
from agent.actions.firewalld_drop.connections import Connections
from agent.actions.firewalld_drop.firewalld import Firewalld
from agent.actions.firewalld_drop.firewalld_bus import NOT_RUNNING, FirewalldBus
from agent.actions.firewalld_drop.firewalld_zone import HOSTS, NAME, NETWORKS, SETS
from agent.actions.tools.netlink import Member, Netlink
from agent.contract.action import CulpritContract
from agent.contract.addresses import NetworkContract
from agent.contract.subject import Stopwatch
from shared.errors import ActionError, ToolHangs
from tests.contract.by_firewalld import ByFirewalld, effect
from tests.contract.subject import There
from tests.stage import firewalld
from tests.stage.guard import Guard
from tests.stage.network import Host, Network
from tests.stage.probe import Listener, side_by_side

BLOCKED4, BLOCKED6, OTHER4, OTHER6 = "203.0.113.7", "2001:db8:bad::7", "203.0.113.8", "2001:db8:bad::8"
NARROW4, NARROW6 = "203.0.113.6/31", "2001:db8:bad::6/127"
SHORT = 0.3  # s within which an answer that comes has come


@pytest.fixture(scope="module")
def daemon(web: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[firewalld.Firewalld]:
    """One for all tests of the module; who stops it starts it again."""
    with Guard() as guard:
        yield firewalld.Firewalld(guard, web, tmp_path_factory.mktemp("firewalld") / "bus")


@pytest.fixture
def subject(web: Host, daemon: firewalld.Firewalld) -> Iterator[ByFirewalld]:
    """Prepared, with nothing in force."""
    one = ByFirewalld(web, daemon)
    yield one
    daemon.process.signal(signal.SIGCONT)  # a test that failed may have left it so
    if not daemon.process.running:
        daemon.start()
    one.close()


class Counting(Netlink):
    """The kernel, and how many members of sets it has been read."""

    read = 0

    def members(self, table: str, name: str) -> Iterator[Member]:
        for each in super().members(table, name):
            self.read += 1
            yield each


@pytest.mark.root
class TestFirewalld(NetworkContract, CulpritContract):
    """In firewalld's own sets and zone."""


@pytest.mark.root
@pytest.mark.parametrize(("backend", "number"), [("nftables", 21), ("iptables", 22)])
def test_packets_of_what_is_blocked_are_dropped(
    stage: Network, guard: Guard, attacker: Host, tmp_path: Path, backend: str, number: int
) -> None:
    """Hosts and networks of both families, by either of firewalld's own backends; others get through, and so do the
    blocked ones afterwards.
    """
    host = stage.host(backend, number)
    daemon = firewalld.Firewalld(guard, host, tmp_path / "bus", backend=backend)
    there = There(host, lambda: Firewalld(daemon.asked))
    there.prepare()
    listener = Listener(host)
    everybody = [(source, listener) for source in (BLOCKED4, BLOCKED6, OTHER4, OTHER6)]
    assert side_by_side(attacker, everybody) == [True] * 4
    for first, second in ((BLOCKED4, BLOCKED6), (f"{BLOCKED4}/32", f"{BLOCKED6}/128"), (NARROW4, NARROW6)):
        keys = [there.key(each, ()) for each in (first, second)]
        assert _problems(there.apply([effect(each) for each in keys])) == []
        assert set(there.inspect()) == set(keys)
        assert side_by_side(attacker, everybody, within=SHORT) == [False, False, True, True]
        assert _problems(there.revert([effect(each) for each in keys])) == []
        assert side_by_side(attacker, everybody) == [True] * 4
    listener.close()
    there.close()


@pytest.mark.root
@pytest.mark.parametrize(
    ("blocked", "others", "key"),
    [
        (BLOCKED4, OTHER4, BLOCKED4),
        (BLOCKED6, OTHER6, BLOCKED6),
        (BLOCKED4, OTHER4, NARROW4),
        (BLOCKED6, OTHER6, NARROW6),
    ],
)
def test_open_connections_are_ended(
    subject: ByFirewalld, web: Host, attacker: Host, blocked: str, others: str, key: str
) -> None:
    """firewalld lets in what it has let in before: those that the attacker began, and those that this host did."""
    with ExitStack() as stack:
        began = [stack.enter_context(_connected(attacker, each, web)) for each in (blocked, others)]
        answers = stack.enter_context(_connected(web, _same_family(web, blocked), attacker, to=blocked))
        assert _problems(subject.action.apply([effect(key)])) == []
        assert [_is_open(each) for each in (*began, answers)] == [False, True, False]


@pytest.mark.root
def test_who_listens_has_no_connection(web: Host) -> None:
    """Its peer is 0.0.0.0, which is in a network that may be blocked."""
    with web.call(_listening) as listening, web.call(lambda: socket.create_server(("", 0))) as other:
        web.call(lambda: Connections().end(["0.0.0.0/1", "::/1"]))
        for each in (listening, other):
            web.connect((web.address, each.getsockname()[1]), SHORT).close()


@pytest.mark.root
def test_a_zone_of_the_administrator_lets_nobody_in_that_is_blocked(
    subject: ByFirewalld, web: Host, attacker: Host
) -> None:
    """firewalld looks at zones with sources in the order of their names, and ours is before `internal`."""
    listener = Listener(web)
    for what in ("source=203.0.113.0/24", "port=8080/tcp"):
        subject.daemon.command("--zone=internal", f"--add-{what}")
    subject.action.apply([effect(BLOCKED4)])
    assert side_by_side(attacker, [(BLOCKED4, listener), (OTHER4, listener)], within=SHORT) == [False, True]
    listener.close()
    subject.daemon.reload()  # the zone refuses whoever is in that network


@pytest.mark.root
def test_what_others_have_put_into_zones_is_not_ours(subject: ByFirewalld) -> None:
    """The administrator's own blocks aren't adopted, nor lifted, nor blocked twice."""
    subject.daemon.command("--zone=drop", "--add-source=198.51.100.0/24")
    subject.daemon.command(f"--zone={NAME}", "--add-source=198.51.100.9")
    assert subject.action.inspect() == {}
    theirs, narrow = effect("198.51.100.0/24"), effect("198.51.100.0/25")
    assert _problems(subject.action.apply([theirs])) == _problems(subject.action.revert([theirs])) == []
    subject.action.apply([narrow])  # which the other would overlap in the set, so that it would have to be a source
    [problem] = _problems(subject.action.apply([theirs]))
    assert "already bound to a zone" in problem
    assert _problems(subject.action.revert([theirs])) == []
    assert "198.51.100.0/24" in subject.daemon.command("--zone=drop", "--list-sources")
    subject.daemon.reload()


@pytest.mark.root
def test_a_flushed_ruleset_is_no_block(subject: ByFirewalld, web: Host) -> None:
    """After `nft flush ruleset` firewalld still says that all is in force; nobody is answered so."""
    both = [effect(BLOCKED4), effect(NARROW6)]
    assert _problems(subject.action.apply(both)) == []
    web.run("nft", "flush", "ruleset")
    assert subject.action.moved()
    assert subject.action.inspect() == {}
    assert [each.key for each in subject.action.apply([*both, effect(OTHER4)]) if each.problem] == [
        BLOCKED4,
        NARROW6,
        OTHER4,
    ]
    subject.daemon.stop()
    subject.daemon.start()
    assert _problems(subject.action.apply([*both, effect(OTHER4)])) == []
    assert subject.seen() == {BLOCKED4, NARROW6, OTHER4}


@pytest.mark.root
def test_what_the_kernel_has_lost_is_put_back(subject: ByFirewalld, web: Host) -> None:
    """firewalld says ALREADY_ENABLED of a member that it has no more, and NOT_ENABLED of one that it has."""
    subject.action.apply([effect(key) for key in (BLOCKED4, OTHER4, NARROW6)])
    web.run("nft", "delete", "element", "inet", "firewalld", HOSTS[4], f"{{ {BLOCKED4} }}")
    web.run("nft", "flush", "set", "inet", "firewalld", NETWORKS[6])
    web.run("nft", "add", "element", "inet", "firewalld", HOSTS[4], "{ 192.0.2.66 }")
    assert set(subject.action.inspect()) == {OTHER4, "192.0.2.66"}
    assert _problems(subject.action.apply([effect(BLOCKED4), effect(NARROW6)])) == []
    assert _problems(subject.action.revert([effect("192.0.2.66")])) == []
    assert subject.seen() == {BLOCKED4, OTHER4, NARROW6}


@pytest.mark.root
def test_a_network_that_the_kernel_has_lost_is_put_back_once(subject: ByFirewalld, web: Host) -> None:
    """Not into the set and beside it as well, where the end of the block would leave it."""
    subject.action.apply([effect(NARROW4)])
    web.run("nft", "flush", "set", "inet", "firewalld", NETWORKS[4])
    assert _problems(subject.action.apply([effect(NARROW4)])) == []
    assert subject.seen() == {NARROW4}
    assert _problems(subject.action.revert([effect(NARROW4)])) == []
    assert subject.seen() == set()


@pytest.mark.root
def test_very_many_are_few_questions(subject: ByFirewalld) -> None:
    """One by one, each would take longer than the one before it."""
    for call in (subject.action.apply, subject.action.revert):
        before = subject.bus.asked
        assert _problems(call([effect(key) for key in subject.many])) == []
        assert subject.bus.asked - before < 20


@pytest.mark.root
def test_one_more_asks_for_no_other(subject: ByFirewalld, web: Host) -> None:
    """Whoever is blocked already, the kernel is asked for this one alone, whether it comes or goes."""
    reader = Counting()
    action = There(web, lambda: Firewalld(subject.daemon.asked, lambda: reader))
    assert _problems(action.apply([effect(key) for key in subject.many])) == []
    some = [effect(key) for key in (BLOCKED4, BLOCKED6, NARROW6, "198.51.100.0/24")]
    assert _problems(action.apply(some)) == []
    assert set(action.inspect()) == subject.seen() == {*subject.many, *(each.key for each in some)}
    reader.read = 0
    assert _problems(action.apply(some)) == []
    assert _problems(action.revert(some[:2])) == []
    assert _problems(action.apply(some[:2])) == []
    assert reader.read == 0
    assert _problems(action.revert(some)) == []
    assert set(action.inspect()) == subject.seen() == set(subject.many)
    action.close()


@pytest.mark.root
def test_what_has_ended_does_not_come_back_with_the_set(subject: ByFirewalld) -> None:
    """A block that ends while its set feeds no zone isn't in force once more when the next one is."""
    assert _problems(subject.action.apply([effect(BLOCKED4), effect(NARROW6)])) == []
    for name in (HOSTS[4], NETWORKS[6]):
        subject.daemon.command(f"--zone={NAME}", f"--remove-source=ipset:{name}")
    assert _problems(subject.action.revert([effect(BLOCKED4), effect(NARROW6)])) == []
    assert _problems(subject.action.apply([effect(OTHER4)])) == []
    assert subject.seen() == {OTHER4}


@pytest.mark.root
def test_a_zone_that_was_taken_away_comes_back_with_the_next_block(subject: ByFirewalld) -> None:
    """Zone, sets and all."""
    subject.action.apply([effect(BLOCKED4)])
    subject.daemon.command("--permanent", f"--delete-zone={NAME}")
    for each in SETS:
        subject.daemon.command("--permanent", f"--delete-ipset={each}")
    subject.flush()
    assert subject.action.inspect() == {}
    assert _problems(subject.action.apply([effect(BLOCKED6)])) == []
    assert subject.seen() == {BLOCKED6}


@pytest.mark.root
def test_a_firewalld_that_does_not_run_blocks_nobody(subject: ByFirewalld) -> None:
    """It is named before the first attack, and what it forgot is put right when it is back."""
    subject.action.apply([effect(BLOCKED4)])
    subject.daemon.stop()
    for call in (subject.action.prepare, subject.action.inspect):
        with pytest.raises(ActionError, match=r"^firewalld: not running$"):
            call()
    assert [each.problem for each in subject.action.apply([effect(BLOCKED4)])] == [NOT_RUNNING]
    assert [each.problem for each in subject.action.revert([effect(BLOCKED4)])] == [NOT_RUNNING]
    subject.daemon.start()
    subject.action.prepare()
    assert subject.action.moved()
    assert subject.action.inspect() == {}
    assert _problems(subject.action.apply([effect(BLOCKED4)])) == []
    assert subject.seen() == {BLOCKED4}


@pytest.mark.root
def test_a_firewalld_that_hangs_holds_nobody_up(subject: ByFirewalld, web: Host) -> None:
    """It is waited for once, then left alone, longer each time; what it says too late is no answer to anything else."""
    clock = Stopwatch()
    there = There(web, lambda: Firewalld(lambda: FirewalldBus(subject.daemon.bus.address, limit=0.5, clock=clock)))
    subject.action.apply([effect(OTHER4)])  # makes what is missing, which takes longer
    subject.daemon.process.signal(signal.SIGSTOP)
    some = [effect(key) for key in subject.many[:100]]
    began = time.monotonic()
    assert {each.problem for each in there.apply(some)} == {"firewalld had not answered within 0.5 s"}
    assert {each.problem for each in there.revert(some)} == {"firewalld hangs; it is asked again in 30 s"}
    with pytest.raises(ToolHangs, match="hangs"):
        there.inspect()
    assert time.monotonic() - began < 2
    clock.now += 30
    with pytest.raises(ToolHangs, match="had not answered"):
        there.inspect()
    assert {each.problem for each in there.revert(some)} == {"firewalld hangs; it is asked again in 60 s"}
    subject.daemon.process.signal(signal.SIGCONT)
    clock.now += 60
    there.prepare()
    assert _problems(there.revert([effect(OTHER4)])) == []
    assert set(there.inspect()) == subject.seen()
    there.close()


@pytest.mark.root
def test_a_bus_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Most hosts without firewalld have no D-Bus either."""
    with pytest.raises(
        ActionError, match=r"^firewalld: not running: D-Bus can't be reached: No such file or directory$"
    ):
        Firewalld(lambda: FirewalldBus(f"unix:path={tmp_path}/none")).prepare()


@contextmanager
def _connected(host: Host, source: str, other: Host, to: str = "") -> Iterator[socket.socket]:
    """A connection from one host to another that stays; their end, which has something to read before long."""
    to = to or _same_family(other, source)
    with other.call(_listening) as listening:
        begun = host.connect((to, listening.getsockname()[1]), 2.0, source)
        accepted, _ = listening.accept()
    with begun, accepted:
        yield begun if host.name == "attacker" else accepted


def _listening() -> socket.socket:
    """On both families' addresses, as most services do: an IPv4 peer is seen in the spelling of an IPv6 one."""
    return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)


def _is_open(theirs: socket.socket) -> bool:
    """Whether nobody has ended it."""
    theirs.settimeout(SHORT)
    try:
        return theirs.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def _same_family(host: Host, address: str) -> str:
    return next(each for each in host.addresses if (":" in each) == (":" in address))


def _problems(results: Sequence[Result]) -> list[str]:
    return [each.problem for each in results if each.problem]
