"""What firewall-drop by nftables promises beyond the contract: packets are dropped, and nft's moods are borne."""

from pathlib import Path

import pytest

from agent.actions import libnftables
from agent.actions.action import Action, Effect
from agent.actions.libnftables import Libnftables
from agent.actions.nftables import ATTEMPTS, Nftables
from shared.errors import ActionError, InvalidTarget
from tests.contract.subject import InKernel, There
from tests.stage.network import Host, Network
from tests.stage.probe import Listener, dropped, side_by_side

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
    for text in ("203.0.113.9 } ; flush ruleset", "203.0.113.0/24", "2001:db8::1%; flush ruleset"):
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
    assert "chain" not in web.run("nft", "list", "table", "inet", "thwart")


def test_when_nothing_works_no_culprit_is_looked_for() -> None:
    """A thousand orders fail at once, for the one reason that there is."""
    kernel = Moody(None, "Operation not permitted", times=10_000)
    results = Nftables(lambda: kernel).apply([_effect(f"10.0.{number >> 8}.{number & 255}") for number in range(1_000)])
    assert {result.problem for result in results} == {"Operation not permitted"}
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
    with pytest.raises(ActionError, match=r"libnftables\.so\.0: not found; install nftables"):
        Nftables().prepare()
    (result,) = Nftables().apply([_effect(BLOCKED4)])
    assert "install nftables" in result.problem


@pytest.mark.root
def test_another_thread_is_turned_away(in_kernel: InKernel, web: Host) -> None:
    """The context's socket is the making thread's; a second one at the same time would corrupt it."""
    kernel = in_kernel.there.call(Libnftables)
    with pytest.raises(ActionError, match="thread"):
        web.call(lambda: kernel.run("list ruleset"))


@pytest.mark.parametrize("target", ["203.0.113.0/24", "2001:db8::/64", "::ffff:203.0.113.0/120"])
def test_a_network_is_refused_by_name(target: str) -> None:
    """It never becomes its first address."""
    with pytest.raises(InvalidTarget, match="is a network"):
        Nftables().key(target, ())


def _apply(action: Action, *keys: str) -> None:
    assert not [result for result in action.apply([_effect(key) for key in keys]) if result.problem]


def _effect(key: str) -> Effect:
    return Effect(key=key, target=key, left=60)
