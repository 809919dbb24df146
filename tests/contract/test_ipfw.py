"""Blocking by ipfw, with a simulated ipfw and sysctl."""

from collections.abc import Collection
from pathlib import Path

import pytest

from agent.actions.firewall_drop import ipfw
from agent.actions.firewall_drop.ipfw import SWITCHES, Ipfw
from agent.actions.tools.tool import Tools
from agent.contract.action import CulpritContract, done, effect, in_force, reverted
from agent.contract.addresses import V4, V6, NetworkContract
from agent.contract.programs import ProgramContract
from shared.errors import ActionError
from tests.contract.simulated import Simulated
from tests.stage.simulators import ipfw as simulated


class OnFreeBsd(Simulated):
    """A host whose ipfw lets in whatever isn't blocked."""

    programs = ("ipfw", "sysctl")

    def begin(self) -> None:
        self.run("ipfw", "-q", "add", "100", "allow", "ip", "from", "any", "to", "me")

    def made(self, tools: Tools) -> Ipfw:
        return Ipfw(tools, self.lookout)

    def seen(self) -> Collection[str]:
        return simulated.blocked(self.kept["ipfw"])

    def flush(self) -> None:
        self.run("ipfw", "-q", "flush")
        self.run("ipfw", "-q", "table", "thwart", "destroy")


@pytest.fixture
def subject(tmp_path: Path) -> OnFreeBsd:
    """With nothing in force."""
    return OnFreeBsd(tmp_path)


class TestIpfw(NetworkContract, ProgramContract):
    """As `firewall-drop` on FreeBSD."""


class TestCulprit(CulpritContract):
    """When the kernel has no memory for one."""


def test_each_address_has_a_value() -> None:
    """Without, ipfw takes every second address for the value of the one before, and blocks only half of them."""
    assert ipfw.added(["203.0.113.9", "203.0.113.90"])[-4:] == ["203.0.113.9", "0", "203.0.113.90", "0"]


def test_what_is_there_already_or_is_not_is_no_error() -> None:
    """With -q; else a lift of a thousand would be tried by halves for the one that had gone."""
    for arguments in (ipfw.added([V4, V6]), ipfw.deleted([V4, V6])):
        assert arguments[:3] == ["-q", "table", "thwart"]


def test_the_simulator_falls_into_that_trap(subject: OnFreeBsd) -> None:
    """As the real one does."""
    subject.run("ipfw", "-q", "table", "thwart", "add", "203.0.113.9", "203.0.113.90")
    assert subject.seen() == {"203.0.113.9"}


def test_the_rules_are_made_once(subject: OnFreeBsd) -> None:
    """However many blocks there are, and however often the agent starts; before those of others."""
    for key in subject.examples:
        done(subject, {key: 60.0})
        subject.restarted().prepare()
    rules = [rule for _, rule in subject.kept["ipfw"]["rules"]]
    assert rules == [*ipfw.RULES, "allow ip from any to me", "allow ip from any to any"]


def test_only_the_rule_that_is_gone_is_made_again(subject: OnFreeBsd) -> None:
    """What was cut short between the two is made whole."""
    subject.change(lambda kept: kept["ipfw"]["rules"].pop(1))
    assert subject.action.inspect() == {}
    done(subject, {V4: 60.0})
    assert sorted(rule for _, rule in subject.kept["ipfw"]["rules"][:3]) == sorted(
        [*ipfw.RULES, "allow ip from any to me"]
    )


def test_what_others_have_put_there_stays(subject: OnFreeBsd) -> None:
    """Their tables, and rules, also those that have our rules' number."""
    subject.run("ipfw", "-q", "table", "theirs", "create")
    subject.run("ipfw", "-q", "table", "theirs", "add", V4)
    subject.run("ipfw", "-q", "add", "1", "deny", "ip", "from", "table(theirs)", "to", "any")
    before = subject.kept["ipfw"]
    done(subject, {V4: 60.0, V6: None})
    assert set(subject.action.inspect()) == {V4, V6}
    reverted(subject, [V4, V6])
    assert subject.kept["ipfw"] == before


def test_a_rule_of_ours_with_another_number_is_none() -> None:
    """Somebody has moved it behind rules that let others in."""
    listing = f"00001 {ipfw.RULES[0]}\n00500 {ipfw.RULES[1]}\n65535 deny ip from any to any\n"
    assert ipfw.missing(listing) == [ipfw.RULES[1]]


def test_a_rule_that_is_gone_comes_back(subject: OnFreeBsd) -> None:
    """`service ipfw restart` flushes the rules and not the tables: nothing is dropped then, and the next look tells."""
    done(subject, {V4: 60.0})
    subject.run("ipfw", "-q", "delete", "1")
    assert subject.action.inspect() == {}
    assert subject.action.moved()
    done(subject, {V6: 60.0})
    in_force(subject, {V4: 60.0, V6: 60.0})


@pytest.mark.parametrize("switch", SWITCHES)
def test_one_that_is_switched_off_is_no_block(subject: OnFreeBsd, switch: str) -> None:
    """All rules are there and no packet is held against them; told before the first attack and with every order."""
    done(subject, {V4: 60.0, V6: 60.0})
    subject.run("sysctl", f"{switch}=0")
    assert subject.action.inspect() == {}
    with pytest.raises(ActionError, match=rf"^ipfw: not enabled; `sysctl .*{switch}=1.*` enables it$"):
        subject.action.prepare()
    (result,) = subject.action.apply([effect("203.0.113.90", 60.0)])
    assert "not enabled" in result.problem
    reverted(subject, [V4])
    subject.run("sysctl", f"{switch}=1")
    in_force(subject, {V6: 60.0})


def test_a_kernel_without_it_is_told_with_what_to_do(subject: OnFreeBsd) -> None:
    """Then it is another backend's turn."""
    subject.change(lambda kept: kept["ipfw"].update(loaded=False))
    with pytest.raises(ActionError, match=r"^ipfw: not loaded; `service ipfw onestart` loads it"):
        subject.action.prepare()
    with pytest.raises(ActionError, match="Protocol not available"):
        subject.action.inspect()


def test_rules_behind_one_that_lets_all_in_are_no_block(subject: OnFreeBsd) -> None:
    """No packet comes to them; it says which number theirs may have."""
    subject.run("ipfw", "-q", "flush")
    subject.run("ipfw", "-q", "add", "1", "allow", "ip", "from", "any", "to", "any")
    (result,) = subject.action.apply([effect(V4, 60.0)])
    assert result.problem == "ipfw: a rule before ours lets everything in; give it a number above 1"
    assert subject.action.inspect() == {}
    assert subject.seen() == set()


def test_what_ipfw_can_not_keep_is_told(subject: OnFreeBsd) -> None:
    """It takes no IPv6 address that is an IPv4 one in disguise; no other order fails for that."""
    first, second = subject.action.apply([effect("::cb00:7109", 60.0), effect(V6, 60.0)])
    assert first.problem == "ipfw: exit code 65: ipfw: Use IPv4 instead of v4-compatible"
    assert second.problem == ""
    in_force(subject, {V6: 60.0})
