"""Which firewall of a BSD blocks: chosen by trying, with simulated tools."""

from pathlib import Path

import pytest

from agent.actions.catalogue import BUILT_IN, FIREWALL, Candidate
from agent.actions.choice import Actions
from agent.actions.firewall_drop.ipfw import Ipfw
from agent.actions.firewall_drop.pf import Pf
from agent.actions.tools.tool import Tool, Tools
from shared.settings import ActionsSettings
from tests.stage.simulators.install import install


@pytest.fixture
def freebsd(tmp_path: Path) -> Tools:
    """A host that has both; pf is enabled and no rule calls our anchor."""
    return install(tmp_path, "pfctl", "ipfw", "sysctl")


def _chosen(tools: Tools) -> Actions:
    pf, ipfw = Candidate(lambda _: Pf("thwart", tools)), Candidate(lambda _: Ipfw(tools))
    actions = Actions(ActionsSettings(), {FIREWALL: (pf, ipfw), "pf": (pf,), "ipfw": (ipfw,)}, "FreeBSD")
    actions.choose()
    return actions


def test_what_is_not_set_up_is_passed_over_and_says_so(freebsd: Tools) -> None:
    """The other blocks; under both of its names an address that is blocked is one effect."""
    actions = _chosen(freebsd)
    assert actions.backends() == {FIREWALL: "ipfw", "ipfw": "ipfw"}
    assert actions.aliases == {"ipfw": FIREWALL}
    assert actions.passed_over[FIREWALL].startswith('pf: no rule calls the anchor thwart: write `anchor "thwart"`')
    assert actions.unsupported["pf"] == actions.passed_over[FIREWALL]


def test_what_is_set_up_comes_first(freebsd: Tools) -> None:
    """Both then can be had by their own names, and only one is firewall-drop."""
    Tool("pfctl", freebsd).run("-f", "-", said='anchor "thwart"\n')
    actions = _chosen(freebsd)
    assert actions.backends() == {FIREWALL: "pf", "pf": "pf", "ipfw": "ipfw"}
    assert actions.aliases == {"pf": FIREWALL}
    assert set(actions.own) == {FIREWALL, "ipfw"}
    assert actions.passed_over == actions.unsupported == {}


@pytest.mark.parametrize(
    ("system", "backends"),
    [("FreeBSD", ["pf", "ipfw"]), ("OpenBSD", ["pf"]), ("NetBSD", ["npf"]), ("Darwin", ["pf"])],
)
def test_each_system_tries_its_own(system: str, backends: list[str]) -> None:
    """In this order, as firewall-drop and by their own names."""
    tried = [each for each in BUILT_IN[FIREWALL] if system in each.systems]
    assert [each.make(ActionsSettings()).backend for each in tried] == backends
    assert [[each] for each in tried] == [[*BUILT_IN[name]] for name in backends]


def test_the_anchor_is_a_setting() -> None:
    """For whoever's pf.conf calls another one already."""
    (pf,) = BUILT_IN["pf"]
    assert [vars(pf.make(ActionsSettings(pf_anchor=each)))["anchor"] for each in ("other", "")] == ["other", "thwart"]
