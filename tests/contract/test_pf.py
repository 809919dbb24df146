"""Blocking by pf, with a simulated pfctl."""

import re
from collections.abc import Collection
from pathlib import Path

import pytest

from agent.actions.firewall_drop import pf
from agent.actions.firewall_drop.pf import Pf
from agent.actions.tools.tool import Tools
from agent.contract.action import CulpritContract, done, effect, in_force, reverted
from agent.contract.addresses import V4, V6, NetworkContract
from agent.contract.programs import ProgramContract
from shared.errors import ActionError
from tests.contract.simulated import Simulated
from tests.stage.simulators import pf as simulated

MAIN = 'anchor "thwart"\npass quick from any to any\n'  # as an administrator has it: whatever isn't blocked is let in


class OnBsd(Simulated):
    """A host whose pf.conf calls our anchor."""

    programs = ("pfctl",)

    def begin(self) -> None:
        self.run("pfctl", "-f", "-", said=MAIN)

    def made(self, tools: Tools) -> Pf:
        return Pf("thwart", tools, self.lookout)

    def seen(self) -> Collection[str]:
        return simulated.blocked(self.kept["pf"])

    def flush(self) -> None:
        self.run("pfctl", "-a", "thwart", "-F", "all")


@pytest.fixture
def subject(tmp_path: Path) -> OnBsd:
    """With nothing in force."""
    return OnBsd(tmp_path)


class TestPf(NetworkContract, ProgramContract):
    """As `firewall-drop` on BSDs and macOS."""


class TestCulprit(CulpritContract):
    """When the kernel has no memory for one."""


MANY = [f"198.51.100.{number}" for number in range(1, 20)]


@pytest.mark.parametrize("more", [[], MANY], ids=["few", "many"])
def test_open_connections_are_ended(subject: OnBsd, more: list[str]) -> None:
    """pf lets in what belongs to a connection that it knows, whatever the rules say: those that the attacker has begun
    and those that this host has. Nobody else's are ended.
    """
    theirs = [["in", "203.0.113.99", "192.0.2.1"], ["out", "192.0.2.1", "198.51.100.200"]]
    ours = [
        ["in", V4, "192.0.2.1"],
        ["out", "192.0.2.1", V4],
        ["in", V6, "2001:db8:ffff::1"],
        ["in", "10.7.0.3", "192.0.2.1"],
    ]
    subject.change(lambda kept: kept["pf"]["states"].extend(theirs + ours))
    keys = [V4, V6, "10.7.0.0/16", *more]
    done(subject, dict.fromkeys(keys, 60.0))
    assert subject.kept["pf"]["states"] == theirs
    assert set(subject.seen()) == set(keys)


def test_however_many_an_attacker_has_begun_they_are_ended_at_once(subject: OnBsd) -> None:
    """One call for all of them: who floods a host with connections doesn't hold it up when it is blocked."""
    flood = [["in", V4, f"192.0.2.{number}"] for number in range(1, pf.MOST + 10)]
    subject.change(lambda kept: kept["pf"]["states"].extend(flood))
    done(subject, {V4: 60.0})
    assert subject.kept["pf"]["states"] == []


def test_a_burst_asks_for_the_connections_of_all_in_one_call(subject: OnBsd, tmp_path: Path) -> None:
    """Nobody who has none is looked for alone."""
    calls = tmp_path / "calls"
    action = subject.answering(
        tmp_path / "counted", "pfctl", "*", f'echo "$*" >>{calls}; exec {subject.tools.path}/pfctl "$@"'
    )
    assert not [each for each in action.apply([effect(key, 60.0) for key in MANY]) if each.problem]
    assert [line for line in calls.read_text().splitlines() if "-k" in line or "states" in line] == ["-s states"]


@pytest.mark.parametrize(
    ("arguments", "answer", "words"),
    [
        ("*-k*", "echo no >&2; exit 1", "pfctl: exit code 1: no"),
        ("*-k*id*", "exit 0", "pfctl ended none"),
    ],
    ids=["fails", "does nothing"],
)
def test_a_connection_that_goes_on_is_told(
    subject: OnBsd, tmp_path: Path, arguments: str, answer: str, words: str
) -> None:
    """Its packets still get in, so nobody is told that the block is done; whatever pfctl says of itself."""
    subject.change(lambda kept: kept["pf"]["states"].append(["out", "192.0.2.1", V4]))
    action = subject.answering(tmp_path / "other", "pfctl", arguments, answer)
    first, second = action.apply([effect(V4, 60.0), effect(V6, 60.0)])
    assert first.problem == f"it is blocked, but connections that were open go on: {words}"
    assert second.problem == ""
    assert subject.seen() == {V6}


def test_an_exit_code_is_not_enough(subject: OnBsd, tmp_path: Path) -> None:
    """What counts is the list: who is said to be on it and isn't has got away, and the other way round."""
    liar = subject.answering(tmp_path / "liar", "pfctl", "*-T*add*|*-T*delete*", "exit 0")
    (result,) = liar.apply([effect(V4, 60.0)])
    assert result.problem == "pf took it, but it isn't on its list"
    done(subject, {V4: 60.0})
    (result,) = liar.revert([effect(V4, None)])
    assert result.problem == "pf let go of it, but it is still on its list"
    in_force(subject, {V4: 60.0})


def test_who_is_kept_out_of_a_network_is_no_block(subject: OnBsd, tmp_path: Path) -> None:
    """pf lists such an exception, which only an administrator can have made, with a `!`."""
    listed = "printf '   203.0.113.0/24\\n  !203.0.113.5\\n'; exit 0"
    subject.action.prepare()
    there = subject.answering(tmp_path / "there", "pfctl", "*-T*show*", listed)
    assert there.inspect() == {"203.0.113.0/24": None}


def test_what_others_did_is_noticed_by_the_next_batch(subject: OnBsd, tmp_path: Path) -> None:
    """Without waiting for the next look; also when nobody knows what a tool that failed has done."""
    done(subject, {V4: 60.0})
    subject.action.inspect()
    subject.run("pfctl", "-q", "-a", "thwart", "-t", "thwart", "-T", "delete", V4)
    assert not subject.action.moved()
    done(subject, {V6: 60.0})
    assert subject.action.moved()
    flag = tmp_path / "out of order"
    other = subject.answering(tmp_path / "other", "pfctl", "*info*", f'test ! -e "{flag}" || exit 1')
    other.inspect()
    flag.touch()
    (result,) = other.apply([effect(V4, 60.0)])
    assert result.problem == "pfctl: exit code 1"
    assert other.moved()


def test_a_hostile_key_does_not_reach_the_tool(subject: OnBsd) -> None:
    """Even if one got past `key`, it is answered, and the firewall is as it was; another spelling is the same one."""
    done(subject, {V4: 60.0})
    before = subject.kept
    for text in ("203.0.113.7; reboot", "-Fall", "0.0.0.0/0", "attacker.example", "!203.0.113.9"):
        for how in (subject.action.apply, subject.action.revert):
            (result,) = how([effect(text, 60.0)])
            assert text.split("/")[0][:40] in result.problem
    assert subject.kept == before
    (result,) = subject.action.revert([effect("203.0.113.9/32", None)])
    assert (result.key, result.problem) == ("203.0.113.9/32", "")
    assert subject.seen() == set()


def test_nothing_outside_of_the_anchor_is_touched(subject: OnBsd) -> None:
    """Rules and tables of others stay as they are, also one of the same name, whose members are none of ours."""
    subject.run("pfctl", "-q", "-t", "thwart", "-T", "add", V4)
    subject.run("pfctl", "-q", "-a", "theirs", "-f", "-", said="table <bad> persist { 10.0.0.1 }\nblock from <bad>\n")
    before = subject.kept["pf"]
    done(subject, {V4: 60.0, "203.0.113.0/24": None})
    assert set(subject.action.inspect()) == {V4, "203.0.113.0/24"}
    reverted(subject, [V4, "203.0.113.0/24"])
    after = subject.kept["pf"]
    assert {**after["anchors"], "thwart": []} == {**before["anchors"], "thwart": []}
    assert {**after["tables"], "thwart thwart": []} == before["tables"]
    assert subject.action.inspect() == {}


def test_a_kernel_without_it_is_told_with_what_to_do(subject: OnBsd) -> None:
    """Then it is another backend's turn."""
    subject.change(lambda kept: kept["pf"].update(loaded=False))
    with pytest.raises(ActionError, match=r"^pf: not loaded; `service pf onestart` loads it \(pfctl: exit code 1"):
        subject.action.prepare()
    with pytest.raises(ActionError, match="/dev/pf"):
        subject.action.inspect()


@pytest.mark.parametrize(
    ("arguments", "said", "advice"),
    [
        (("-q", "-d"), "", r"^pf: not enabled; `pfctl -e` enables it$"),
        (
            ("-q", "-F", "rules"),
            "",
            r'^pf: no rule calls the anchor thwart: write `anchor "thwart"` before .* /etc/pf\.conf',
        ),
        (("-f", "-"), 'anchor "thwart/*"\nanchor "other"\n', "no rule calls the anchor thwart"),
        (("-f", "-"), 'pass in quick all\nanchor "thwart"\n', "no rule calls the anchor thwart"),
    ],
)
def test_rules_that_nobody_looks_at_are_no_block(
    subject: OnBsd, arguments: tuple[str, ...], said: str, advice: str
) -> None:
    """Everything is in its place and drops nothing: told before the first attack, with every order, and when looked."""
    done(subject, {V4: 60.0})
    subject.run("pfctl", *arguments, said=said)
    assert subject.seen() == set()
    assert subject.action.inspect() == {}
    assert subject.action.moved(), "it comes back with the rule"
    with pytest.raises(ActionError, match=advice):
        subject.action.prepare()
    (result,) = subject.action.apply([effect(V6, 60.0)])
    assert re.search(advice, result.problem)
    (result,) = subject.action.revert([effect(V4, None)])
    assert result.problem == ""
    subject.run("pfctl", "-f", "-", said=MAIN)
    assert subject.action.revert([effect(V6, None)])[0].problem == ""


def test_macos_calls_the_anchor_without_being_told(tmp_path: Path) -> None:
    """Its own pf.conf has `anchor "com.apple/*"`."""

    class OnMac(OnBsd):
        def begin(self) -> None:
            self.run("pfctl", "-a", "com.apple/250.ApplicationFirewall", "-f", "-", said="pass in from any to any\n")
            self.run("pfctl", "-f", "-", said='anchor "com.apple/*"\n')

        def made(self, tools: Tools) -> Pf:
            return Pf(pf.default_anchor("darwin"), tools, self.lookout)

    mac = OnMac(tmp_path)
    done(mac, {V4: 60.0, V6: None})
    in_force(mac, {V4: 60.0, V6: None})
    mac.run("pfctl", "-q", "-a", "com.apple/thwart", "-F", "rules")
    assert mac.action.inspect() == {}
    done(mac, {V4: 60.0})
    in_force(mac, {V4: 60.0, V6: None})


def test_the_systems_have_their_anchors() -> None:
    """The setting comes first."""
    assert [pf.default_anchor(each) for each in ("freebsd14", "openbsd7", "darwin")] == [
        "thwart",
        "thwart",
        "com.apple/thwart",
    ]


STATES = """\
all tcp 192.0.2.1:22 <- 203.0.113.9:51234       ESTABLISHED:ESTABLISHED
   [1 + 2] wscale 7  [3 + 4] wscale 7
   age 00:00:01, expires in 23:59:59, 5:5 pkts, 300:300 bytes, rule 7
   id: 4823e84500000003 creatorid: 0000002a
em0 udp 10.0.0.5:4242 (192.0.2.77:6000) -> 198.51.100.7:53       MULTIPLE:SINGLE
   age 00:00:01, expires in 00:00:30, 1:1 pkts, 60:60 bytes, rule 7
   id: 4823e84500000004 creatorid: 0000002a
all ipv6-icmp 2001:db8:ffff::1 <- 2001:db8:bad::9[33]       0:0
all tcp 2001:db8:ffff::1[22] <- 2001:db8:1::7[40000]       CLOSED:SYN_SENT
all icmp 192.0.2.1:8 <- 203.0.113.200:8       0:0
"""


def test_whose_connections_there_are_is_read_from_the_list() -> None:
    """Both ends of each, behind a NAT too, and what lies in a network."""
    there = [V4, "198.51.100.7", "10.0.0.5", "192.0.2.77", V6, "203.0.113.128/25", "2001:db8:1::/48"]
    absent = ["203.0.113.90", "203.0.113.0/30", "2001:db8:bad::", "2001:db8:2::/48", "8.0.0.0/8", "2.0.0.0/7"]
    found = pf.connections([*there, *absent], STATES)
    assert set(found) == set(there)
    assert found[V4] == {"4823e84500000003/0000002a"}
    assert found["10.0.0.5"] == found["198.51.100.7"] == {"4823e84500000004/0000002a"}


RULES = """\
block return all
anchor "theirs" on lo0 all {
  pass quick all
}
anchor on egress all {
  anchor "thwart" all {
    block drop quick from any to <thwart>
  }
}
anchor "x/*" all {
  anchor "thwart" all {
    block drop quick from <thwart> to any
  }
}
anchor "thwart" in on em0 all {
  pass quick all
}
"""


def test_only_rules_of_our_own_anchor_are_ours() -> None:
    """Anchors may be nested, called by what they have in common, and have no names."""
    assert pf.called(RULES, "thwart") == {"pass quick all"}
    assert pf.called(RULES, "x/thwart") == {"block drop quick from <thwart> to any"}
    assert pf.called(RULES, "y/thwart") == set()
