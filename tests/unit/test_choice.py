"""What carries an action out here: which of its candidates, and what is said of the others."""

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from agent.actions.catalogue import BUILT_IN, Candidate
from agent.actions.choice import Actions
from shared.errors import SettingsError
from shared.settings import ActionsSettings, AgentSettings, load
from tests.stage.fake_action import FakeAction
from tests.unit.a_host import HostClock

AUTO = ActionsSettings()


class Backend(FakeAction):
    """Missing for as long as `missing` says what; `made` are all that were made of it, and each has its thread."""

    def __init__(self, backend: str, missing: str = "", name: str = "firewall-drop") -> None:
        super().__init__(HostClock(), name)
        self.backend, self.missing = backend, missing
        self.made: list[FakeAction] = []

    def candidate(self, *systems: str) -> Candidate:
        """The first that is made is this one."""

        def make(_: ActionsSettings) -> FakeAction:
            self.made.append(self if not self.made else type(self)(self.backend, self.missing, self.name))
            return self.made[-1]

        return Candidate(make, systems)


def chosen(catalogue: Mapping[str, Any], settings: ActionsSettings = AUTO, system: str = "Linux") -> Actions:
    actions = Actions(settings, catalogue, system)
    actions.choose()
    return actions


def test_the_first_that_the_host_has_carries_it_out_and_the_others_say_why_they_don_t() -> None:
    """Whoever looks at an agent sees what to install for something better; nothing is tried that comes after it."""
    missing = Backend("nftables", "nftables: libnftables.so.1: not found"), Backend("ipset", "not found")
    there, worse = Backend("iptables"), Backend("hand")
    some = [each.candidate() for each in (*missing, there, worse)]
    actions = chosen({"firewall-drop": some})
    assert actions.by_name == actions.own == {"firewall-drop": there}
    assert actions.backends() == {"firewall-drop": "iptables"}
    assert actions.passed_over == {"firewall-drop": "nftables: libnftables.so.1: not found; ipset: not found"}
    assert (actions.unsupported, actions.lack(), worse.made) == ({}, "", [])


class Growing(FakeAction):
    """While somebody looks at it the actions' thread finds another."""

    actions: Actions

    @property
    def backend(self) -> str:
        self.actions.by_name["pf"] = FakeAction(HostClock())
        return "nftables"

    @property
    def network(self) -> bool:
        self.actions.own["pf"] = FakeAction(HostClock())
        return True

    @network.setter
    def network(self, value: bool) -> None:
        """As every fake is made: it is what is said above."""


def test_what_appears_while_somebody_looks_is_in_nobody_s_way() -> None:
    """The actions' thread adds to what another one lists: an action that has just come is in the next list."""
    growing = Growing(HostClock())
    growing.actions = Actions(AUTO, {})
    growing.actions.by_name["firewall-drop"] = growing.actions.own["firewall-drop"] = growing
    assert growing.actions.backends() == {"firewall-drop": "nftables"}
    assert growing.actions.cutting() == ["firewall-drop"]
    assert growing.actions.backends() == {"firewall-drop": "nftables", "pf": "fake"}


def test_a_host_with_nothing_says_what_is_missing_for_each() -> None:
    """And that it can't block, aloud."""
    some = [Backend("nftables", "not found").candidate(), Backend("iptables", "run as root").candidate()]
    actions = chosen({"firewall-drop": some, "host-deny": [Backend("hosts.deny", "not there").candidate()]})
    assert actions.own == {}
    assert actions.unsupported["firewall-drop"] == "nftables: not found; iptables: run as root"
    assert actions.lack() == f"firewall-drop can't be carried out on this host: {actions.unsupported['firewall-drop']}"


@pytest.mark.parametrize(
    ("systems", "words"),
    [(("FreeBSD",), "only on FreeBSD"), (("FreeBSD", "OpenBSD", "Darwin"), "only on FreeBSD, OpenBSD and macOS")],
)
def test_what_other_systems_have_is_not_even_made_here(systems: tuple[str, ...], words: str) -> None:
    """The reason names them."""
    pf = Backend("pf")
    actions = chosen({"firewall-drop": [pf.candidate(*systems)]})
    assert (actions.unsupported, pf.made) == ({"firewall-drop": words}, [])


def test_what_other_settings_had_chosen_is_no_substitute() -> None:
    """It may have something in force, and is used for nothing."""
    there, former = Backend("hosts.deny", "not found"), Backend("hosts.allow")
    some = [there.candidate(), Candidate(lambda _: former, former=True)]
    actions = chosen({"host-deny": some})
    assert (actions.unsupported, actions.look()) == ({"host-deny": "hosts.deny: not found"}, [])
    there.missing = ""
    actions.choose()
    assert (actions.own, actions.others("host-deny")) == ({"host-deny": there}, [former])


def test_a_backend_that_is_named_has_no_substitute() -> None:
    """Neither a better one nor, when it is missing, another."""
    for missing in ("", "not found"):
        some = Backend("nftables"), Backend("ipset", missing), Backend("iptables")
        actions = chosen({"firewall-drop": [each.candidate() for each in some]}, ActionsSettings(firewall="ipset"))
        assert actions.backends() == ({} if missing else {"firewall-drop": "ipset"})
        said = actions.unsupported if missing else actions.passed_over
        assert said["firewall-drop"].startswith("nftables: the setting actions.firewall is ipset")


def test_two_names_of_one_backend_are_one_action() -> None:
    """The later is an alias: an address that is blocked by both is one effect, of one action."""
    pf, deny = Backend("pf"), Backend("hosts.deny", name="host-deny")
    one = pf.candidate("FreeBSD")
    actions = chosen({"firewall-drop": [one], "pf": [one], "host-deny": [deny.candidate()]}, system="FreeBSD")
    assert actions.own == {"firewall-drop": pf, "host-deny": deny}
    assert actions.by_name == {**actions.own, "pf": pf}
    assert (actions.aliases, pf.calls) == ({"pf": "firewall-drop"}, [("prepare", ())])
    apart = chosen({"firewall-drop": [Backend("ipfw").candidate()], "pf": [Backend("pf").candidate()]})
    assert apart.aliases == {}


def test_a_class_that_raises_anything_keeps_no_agent_from_starting() -> None:
    """It is somebody's own; its words are the reason."""

    class Broken(Backend):
        def prepare(self) -> None:
            raise KeyError("nothing")

    def unmakeable(_: ActionsSettings) -> FakeAction:
        raise ImportError("no module named x")

    actions = chosen({"mine": [Broken("mine").candidate(), Candidate(unmakeable)], "other": [Backend("b").candidate()]})
    assert actions.unsupported == {"mine": "mine: KeyError: 'nothing'; ImportError: no module named x"}
    assert list(actions.own) == ["other"]
    assert actions.look() == []


def test_what_is_chosen_stays_though_something_better_appears() -> None:
    """It knows alone what it has in force; and it isn't prepared again."""
    better, there = Backend("nftables", "not found"), Backend("iptables")
    actions = chosen({"firewall-drop": [better.candidate(), there.candidate()]})
    better.missing = ""
    assert actions.look() == []
    actions.choose()
    assert actions.by_name == {"firewall-drop": there}
    assert there.calls == [("prepare", ())]


def test_what_is_missing_is_looked_for_with_others_of_its_kind() -> None:
    """From another thread than the one in which actions are called, so the one that is to be used isn't touched."""
    backend = Backend("nftables", "not found")
    actions = chosen({"firewall-drop": [backend.candidate()]})
    backend.missing = "run as root"
    assert actions.look() == []
    assert actions.unsupported == {"firewall-drop": "nftables: run as root"}
    backend.missing = ""
    assert actions.look() == ["firewall-drop"]
    assert (actions.by_name, len(backend.calls)) == ({}, 1)
    actions.choose(["firewall-drop"])
    assert actions.by_name == {"firewall-drop": backend}
    assert (actions.unsupported, actions.lack()) == ({}, "")


def test_what_an_earlier_run_may_have_used_is_what_carries_nothing_out() -> None:
    """Also what would have come after the one that was chosen; not what is used under another name."""
    one, other, there = Backend("nftables", "not found"), Backend("iptables"), Backend("ipset")
    pf = Backend("pf").candidate()
    some = [one.candidate(), there.candidate(), other.candidate(), pf, Backend("ipfw").candidate("FreeBSD")]
    actions = chosen({"pf": [pf], "firewall-drop": some})
    assert actions.others("firewall-drop") == [one, other]


def test_only_what_may_cut_the_host_off_is_suspected_of_it() -> None:
    """Once, by the name that the journal has for it: a locked account has never kept a broker from answering."""
    firewall, account = Backend("pf"), Backend("usermod", name="disable-account")
    firewall.network = True
    pf = firewall.candidate()
    actions = chosen({"firewall-drop": [pf], "pf": [pf], "disable-account": [account.candidate()]})
    assert actions.cutting() == ["firewall-drop"]


def test_each_firewall_can_be_named_in_the_settings() -> None:
    """By the name that heartbeats have for it, and no other; who mistypes it is shown all of them."""
    named = get_args(ActionsSettings.__annotations__["firewall"])
    assert {each.make(AUTO).backend for each in BUILT_IN["firewall-drop"]} | {"auto"} == set(named)
    with pytest.raises(SettingsError) as raised:
        load(AgentSettings, None, {"THWART_ACTIONS_FIREWALL": '"ufw"'})
    assert all(each in str(raised.value) for each in named)
