"""Blocking by npf, with a simulated npfctl."""

from collections.abc import Collection
from pathlib import Path

import pytest

from agent.actions.firewall_drop import npf
from agent.actions.firewall_drop.npf import Npf
from agent.actions.tools.tool import Tools
from agent.contract.action import CulpritContract, done, effect, in_force, reverted
from agent.contract.addresses import NETWORKS, V4, V6, NetworkContract
from agent.contract.programs import ProgramContract
from shared.errors import ActionError
from tests.contract.simulated import Simulated
from tests.stage.simulators import npfctl as simulated

CONFIGURATION = """\
table <thwart> type ipset
group "external" {
    ruleset "thwart"
    block in final from <thwart>
    block out final to <thwart>
    pass stateful final all
}
group default {
    pass final all
}
"""


class OnNetBsd(Simulated):
    """A host whose npf.conf has what we need, and lets in whatever isn't blocked."""

    programs = ("npfctl",)
    examples = (*Simulated.examples, "198.51.100.0/24")  # which is blocked in another way

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        super().__init__(folder)

    def begin(self) -> None:
        self.configure(CONFIGURATION)

    def configure(self, text: str) -> None:
        """Somebody edits the file and loads it."""
        path = self._folder / "npf.conf"
        path.write_text(text)
        self.run("npfctl", "reload", str(path))

    def made(self, tools: Tools) -> Npf:
        return Npf(tools, self.lookout)

    def seen(self) -> Collection[str]:
        return simulated.blocked(self.kept["npf"])

    def flush(self) -> None:
        self.run("npfctl", "table", "thwart", "flush")
        self.run("npfctl", "rule", "thwart", "flush")


@pytest.fixture
def subject(tmp_path: Path) -> OnNetBsd:
    """With nothing in force."""
    return OnNetBsd(tmp_path)


class TestNpf(NetworkContract, ProgramContract):
    """As `firewall-drop` on NetBSD."""


class TestCulprit(CulpritContract):
    """When the kernel has no memory for one."""


def test_a_table_of_networks_would_lift_more_than_was_meant(subject: OnNetBsd) -> None:
    """Why hosts are in an `ipset` and networks are rules: what `lpm` does, the simulator does, too."""
    subject.configure(CONFIGURATION.replace("ipset", "lpm"))
    subject.run("npfctl", "table", "thwart", "add", NETWORKS[0])
    with pytest.raises(ActionError, match="already exists or is conflicting"):
        subject.run("npfctl", "table", "thwart", "add", V4)
    subject.run("npfctl", "table", "thwart", "rem", V4)
    assert subject.seen() == set()


def test_a_network_is_two_rules_and_a_half_of_it_is_no_block(subject: OnNetBsd) -> None:
    """What was cut short between them is made whole, and both go, with those that are there twice."""
    network = NETWORKS[0]
    for _ in range(2):
        subject.run("npfctl", "rule", "thwart", "add", "block", "in", "final", "from", network)
    assert subject.action.inspect() == {}
    done(subject, {network: 60.0})
    in_force(subject, {network: 60.0})
    assert len(subject.kept["npf"]["rulesets"]["thwart"]) == 3
    reverted(subject, [network])
    assert subject.kept["npf"]["rulesets"]["thwart"] == []


def test_a_reload_lifts_nothing(subject: OnNetBsd) -> None:
    """npf keeps what is in a table that the file leaves empty."""
    ends = {V4: 60.0, V6: None, NETWORKS[1]: 60.0}
    done(subject, ends)
    subject.configure(CONFIGURATION)
    in_force(subject, ends)


def test_what_others_have_put_there_stays(subject: OnNetBsd) -> None:
    """Their rulesets, and tables, and rules of their own in ours."""
    extended = CONFIGURATION.replace("default {\n", 'default {\n    ruleset "theirs"\n')
    subject.configure(f"table <theirs> type ipset\n{extended}")
    subject.run("npfctl", "table", "theirs", "add", V4)
    for name in ("theirs", "thwart"):
        subject.run("npfctl", "rule", name, "add", "pass", "in", "final", "from", NETWORKS[0])
    before = subject.kept["npf"]
    ends = {V4: 60.0, NETWORKS[0]: 60.0}
    done(subject, ends)
    assert set(subject.action.inspect()) == set(ends)
    reverted(subject, [*ends])
    assert {**subject.kept["npf"], "number": 0} == {**before, "number": 0}


def test_older_and_newer_listings_are_read_alike() -> None:
    """And only what blocks both ways as we do is ours."""
    listing = (
        'block in final family inet4 from 203.0.113.0/24 # id="1" \n'
        'block out final to 203.0.113.0/24 # id = "a2" \n'
        'block out final family inet6 to 2001:db8::/32 # id="3" \n'
        'block in final to 198.51.100.0/24 # id="4" \n'
        'pass in final from 198.51.100.0/24 # id="5" \n'
    )
    assert npf.rules_in(listing) == {
        ("in", "203.0.113.0/24"): ["1"],
        ("out", "203.0.113.0/24"): ["a2"],
        ("out", "2001:db8::/32"): ["3"],
    }


@pytest.mark.parametrize("line", npf.LINES)
def test_what_is_not_in_the_configuration_is_told(subject: OnNetBsd, line: str) -> None:
    """Line by line, before the first attack; a block that nobody looks at is none."""
    done(subject, {V4: 60.0, NETWORKS[0]: 60.0})
    assert line in CONFIGURATION
    without = CONFIGURATION.replace(f"{line}\n", "\n")
    subject.configure(without)
    with pytest.raises(ActionError, match=r"^npf: not in /etc/npf\.conf: `") as caught:
        subject.action.prepare()
    assert f": `{line}`; a table belongs" in str(caught.value)
    assert subject.action.inspect() == {}
    (result,) = subject.action.apply([effect(V6, 60.0)])
    assert result.problem == str(caught.value)
    reverted(subject, [V4, NETWORKS[0]])


def test_one_that_is_stopped_is_no_block(subject: OnNetBsd) -> None:
    """Tables and rules are there, and nothing is held against them."""
    done(subject, {V4: 60.0})
    subject.run("npfctl", "stop")
    assert subject.action.inspect() == {}
    with pytest.raises(ActionError, match=r"^npf: not active; `npfctl start` starts it$"):
        subject.action.prepare()
    subject.run("npfctl", "start")
    in_force(subject, {V4: 60.0})


def test_a_table_of_the_wrong_kind_is_told(subject: OnNetBsd) -> None:
    """For what it would do to others when one is lifted."""
    subject.configure(CONFIGURATION.replace("ipset", "lpm"))
    with pytest.raises(ActionError, match="`table <thwart> type ipset`"):
        subject.action.prepare()


def test_a_host_that_is_on_the_table_is_not_added_again(subject: OnNetBsd) -> None:
    """npf refuses what it has; an order that came twice doesn't fail for that."""
    for _ in range(2):
        done(subject, {V4: 60.0})
    in_force(subject, {V4: 60.0})


def test_hundreds_are_put_there_in_one_call(subject: OnNetBsd, tmp_path: Path) -> None:
    """And taken off in one; the table is replaced by one with the others that are on it."""
    done(subject, {V4: 60.0})
    calls = tmp_path / "calls"
    action = subject.answering(tmp_path / "counted", "npfctl", "*add*|*rem*|*replace*", f'echo "$*" >>{calls}')
    assert not [each for each in action.apply([effect(key, 60.0) for key in subject.many]) if each.problem]
    assert set(subject.seen()) == {V4, *subject.many}
    assert not [each for each in action.revert([effect(key, None) for key in subject.many]) if each.problem]
    assert set(subject.seen()) == {V4}
    assert calls.read_text().splitlines() == ["table thwart replace -"] * 2


def test_an_npfctl_that_replaces_no_tables_is_used_one_by_one(subject: OnNetBsd, tmp_path: Path) -> None:
    """NetBSD 9.0's; nobody's order fails for that."""
    refusal = """echo "npfctl: invalid command '$3'" >&2; exit 1"""
    action = subject.answering(tmp_path / "older", "npfctl", "*replace*", refusal)
    keys = subject.many[:6]
    assert [each.problem for each in action.apply([effect(key, 60.0) for key in keys])] == [""] * len(keys)
    assert set(subject.seen()) == set(keys)
    assert [each.problem for each in action.revert([effect(key, None) for key in keys])] == [""] * len(keys)
    assert subject.seen() == set()
