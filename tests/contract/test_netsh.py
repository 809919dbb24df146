"""Blocking by Windows' firewall, with a simulated netsh."""

from collections.abc import Collection
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.actions.firewall_drop.netsh import Netsh, told, without_gaps
from agent.actions.tools.tool import Tools
from agent.contract.action import CulpritContract, done, effect, in_force, reverted
from agent.contract.addresses import V4, V6, NetworkContract, hosts
from agent.contract.programs import ProgramContract
from shared.errors import ActionError
from tests.contract.simulated import Simulated
from tests.stage.simulators import windows_firewall

RULES = ("advfirewall", "firewall")
HALF = """\
#!/bin/sh
case "$*" in
*dir=out*{address}/*) echo no; exit {code} ;;
*set*new*{address}/*)
  shift 5
  {netsh} advfirewall firewall set rule name=thwart-1 dir=in "$@" >/dev/null
  echo no; exit {code} ;;
esac
exec {netsh} "$@"
"""


class OnWindows(Simulated):
    """A host whose firewall is on."""

    programs = ("netsh",)

    def begin(self) -> None:
        """As Windows is from the start."""

    def made(self, tools: Tools) -> Netsh:
        return Netsh(tools=tools, lookout=self.lookout)

    def seen(self) -> Collection[str]:
        kept = self.kept
        return windows_firewall.listed(kept, "in") & windows_firewall.listed(kept, "out")

    def flush(self) -> None:
        for name in {each for each in self.names() if "thwart" in each}:
            self.clear(name)

    def clear(self, name: str, *which: str) -> None:
        """Somebody deletes rules."""
        self.run("netsh", *RULES, "delete", "rule", f"name={name}", *which)

    def names(self) -> list[str]:
        """Of all rules."""
        return [each["name"] for each in windows_firewall.of(self.kept)["rules"]]

    def speak(self, language: str) -> None:
        """It is a Windows in that language."""
        self.change(lambda kept: kept.update(language=language))


@pytest.fixture
def subject(tmp_path: Path) -> OnWindows:
    """With nothing in force."""
    return OnWindows(tmp_path)


class TestNetsh(NetworkContract, ProgramContract):
    """As `netsh.exe`."""


class TestCulprit(CulpritContract):
    """When the firewall has no memory for one."""


@pytest.mark.parametrize("language", ["en", "de"])
def test_whatever_language_windows_speaks(subject: OnWindows, language: str) -> None:
    """Addresses are read, and no words."""
    subject.speak(language)
    action = subject.restarted()
    action.prepare()
    assert action.inspect() == {}
    done(subject, dict.fromkeys(subject.examples, 60.0))
    in_force(subject, dict.fromkeys(subject.examples, 60.0))
    assert reverted(subject, subject.examples) == list(subject.examples)
    in_force(subject, {})


def test_rules_of_others_stay_as_they_are(subject: OnWindows) -> None:
    """Also one that names the same address, and nothing of ours is left behind."""
    subject.run("netsh", *RULES, "add", "rule", "name=mine", "dir=in", "action=block", f"remoteip={V4}")
    before = subject.kept["firewall"]
    done(subject, {V4: 60.0, V6: None})
    reverted(subject, [V4, V6])
    assert subject.kept["firewall"] == before


def test_what_lets_everybody_in_lets_no_attacker_in(subject: OnWindows) -> None:
    """Somebody else's rule allows all; what blocks goes before it, both ways, and nobody else is blocked."""
    done(subject, {V4: 60.0, "2001:db8:bad::/64": 60.0})
    kept = subject.kept
    for address, dropped in ((V4, True), ("203.0.113.90", False), (V6, True), ("2001:db8::1", False)):
        target = windows_firewall.network(address)
        assert target is not None
        assert [windows_firewall.drops(kept, way, target) for way in ("in", "out")] == [dropped, dropped]


def test_a_firewall_that_is_off_blocks_nobody(subject: OnWindows) -> None:
    """It is told at the start, and nothing counts as blocked, until it is on again."""
    done(subject, {V4: 60.0})
    subject.run("netsh", "advfirewall", "set", "currentprofile", "state", "off")
    with pytest.raises(ActionError, match=r"off for the network .* state on`"):
        subject.action.prepare()
    assert subject.action.inspect() == {}
    (result,) = subject.action.apply([effect(V6, 60.0)])
    assert "off for the network" in result.problem
    subject.run("netsh", "advfirewall", "set", "currentprofile", "state", "on")
    in_force(subject, {V4: 60.0})


@pytest.mark.parametrize("way", ["in", "out"])
def test_what_is_dropped_one_way_alone_is_put_right(subject: OnWindows, way: str) -> None:
    """It isn't in force; the next block of it makes it whole, and a lift leaves nothing of it."""
    done(subject, {V4: 60.0, V6: 60.0})
    subject.clear("thwart-1", f"dir={way}")
    assert subject.action.inspect() == {}
    done(subject, {V4: 60.0})
    assert set(subject.seen()) == {V4}
    done(subject, {V6: 60.0})
    subject.clear("thwart-1", f"dir={way}")
    reverted(subject, [V4, V6])
    assert subject.names() == ["Remote Desktop"]


@pytest.mark.parametrize("change", ["enable=no", "action=allow"])
def test_a_rule_that_somebody_has_made_useless_is_not_counted(subject: OnWindows, change: str) -> None:
    """What it lists isn't in force, as an English Windows tells; the next block mends it."""
    done(subject, {V4: 60.0})
    subject.run("netsh", *RULES, "set", "rule", "name=thwart-1", "dir=in", "new", change)
    assert subject.action.inspect() == {}
    done(subject, {V4: 60.0})
    assert set(subject.seen()) == {V4}


@pytest.mark.parametrize("before", [(), (V6,)], ids=["a new page", "one that is there"])
@pytest.mark.parametrize("code", [0, 1])
def test_what_comes_into_one_rule_alone_is_no_block(
    subject: OnWindows, tmp_path: Path, before: tuple[str, ...], code: int
) -> None:
    """netsh drops what comes in and not what goes out, and says so or doesn't: the other address is blocked alone."""
    done(subject, dict.fromkeys(before, 60.0))
    netsh = tmp_path / "half" / "netsh"
    netsh.parent.mkdir()
    netsh.write_text(HALF.format(address=V4, code=code, netsh=f"{subject.tools.path}/netsh"))
    netsh.chmod(0o755)
    action = subject.made(replace(subject.tools, path=str(netsh.parent)))
    results = {each.key: each.problem for each in action.apply([effect(V4, 60.0), effect(V6, 60.0)])}
    assert results[V4]
    if code:
        assert results == {V4: "netsh: exit code 1: no", V6: ""}
        assert windows_firewall.listed(subject.kept, "in") == set(subject.seen()) == {V6}
    assert V4 not in subject.seen()
    reverted(subject, [V4, V6])
    assert subject.names() == ["Remote Desktop"]


def test_many_are_on_pages_and_no_page_is_empty(subject: OnWindows) -> None:
    """A rule that named nobody would be for everybody: when a page's last address goes, so does its rule."""
    action = Netsh(tools=subject.tools, size=2)
    keys = hosts(5)
    assert not any(each.problem for each in action.apply([effect(key, None) for key in keys]))
    assert sorted(subject.names())[1:] == [f"thwart-{page}" for page in (1, 2, 3) for _ in ("in", "out")]
    for number, key in enumerate(keys):
        assert not any(each.problem for each in action.revert([effect(key, None)]))
        assert set(subject.seen()) == set(action.inspect()) == set(keys[number + 1 :])
        assert all(each["remoteip"] != ["any"] for each in subject.kept["firewall"]["rules"][1:])
    assert subject.names() == ["Remote Desktop"]


def test_the_longest_addresses_have_room_on_a_command_line(subject: OnWindows) -> None:
    """A full page of IPv6 networks, of which none can be spelt shorter."""
    keys = [f"2001:db8:1111:2222:3333:4444:5555:{number:x}" for number in range(0x6000, 0x6000 + 600)]
    done(subject, dict.fromkeys(keys, 60.0))
    assert set(subject.seen()) == set(keys)
    assert len(subject.names()) == 5


def test_only_addresses_are_read() -> None:
    """Whatever else is printed, in whatever language, and of the rules of this page alone."""
    one = "Règle : thwart-1\r\nAb. Cafe: dead\r\nIP: 203.0.113.9/32,2001:DB8::/64\r\n  198.51.100.7/32\r\n"
    assert told(f"{one}{one}OK.\r\n", 1) == [{V4, "2001:db8::/64", "198.51.100.7"}] * 2
    assert told(one, 11) == []


@pytest.mark.parametrize("before", [[], ["a"], ["", "b"], ["a", "", "c"], ["", "", "c"], ["", "b", "c"], ["", "b", ""]])
def test_pages_have_no_gaps(before: list[str]) -> None:
    """What there is behind a gap moves into it, once, and the rest stays; the empty ones come last."""
    after = without_gaps([set(each) for each in before])
    full = len([each for each in before if each])
    assert all(set(one) == other for one, other in zip(before[:full], after, strict=False) if one)
    assert len(after) == len(before)
    assert sorted(map(sorted, filter(None, after))) == sorted(map(sorted, filter(None, before)))
    assert [bool(each) for each in after] == sorted((bool(each) for each in before), reverse=True)
