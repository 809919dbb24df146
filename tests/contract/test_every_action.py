"""No action without the contract: each backend in the catalogue has a subject, held to all that is for such a one."""

from pathlib import Path

import pytest

from agent.actions.catalogue import BUILT_IN, everything
from agent.actions.slow_actions import built_in, webhook
from agent.contract.action import ActionContract, CulpritContract
from agent.contract.addresses import HostContract, NetworkContract
from agent.contract.ends import EndingContract
from agent.contract.happening import HappeningContract
from agent.contract.programs import ProgramContract
from shared.actions import kind_of
from shared.settings import ActionsSettings
from tests.contract import (
    test_action,
    test_bsd_routes,
    test_disable_account,
    test_firewalld,
    test_host_deny,
    test_ip_customblock,
    test_ipfw,
    test_iptables,
    test_netsh,
    test_npf,
    test_pf,
    test_restart_on_windows,
    test_restart_wazuh,
    test_route_null,
    test_wazuh_slack,
    test_windows_routes,
)

HOST_DENY = (test_host_deny.TestHostsDeny, test_host_deny.TestHostsAllow)  # in the latter none can be spoilt
SUBJECTS: dict[str, tuple[type, ...]] = {
    "nftables": (test_action.TestNftables,),
    "ipset": (test_iptables.TestIpsetNft, test_iptables.TestIpsetLegacy),
    "iptables": (test_iptables.TestIptablesNft, test_iptables.TestIptablesLegacy),
    "pf": (test_pf.TestPf, test_pf.TestCulprit),
    "ipfw": (test_ipfw.TestIpfw, test_ipfw.TestCulprit),
    "npf": (test_npf.TestNpf, test_npf.TestCulprit),
    "hosts.deny": HOST_DENY,
    "hosts.allow": HOST_DENY,
    "usermod": (test_disable_account.TestLinux,),
    "pwpolicy": (test_disable_account.TestMacos,),
    "net user": (test_disable_account.TestWindows,),
    "firewalld": (test_firewalld.TestFirewalld,),
    "ip route": (test_route_null.TestIpRoute,),
    "route": (test_bsd_routes.TestBsdRoutes, test_bsd_routes.TestCulprit),
    "netsh route": (test_windows_routes.TestWindowsRoutes, test_windows_routes.TestCulprit),
    "netsh": (test_netsh.TestNetsh, test_netsh.TestCulprit),
    "files": (test_ip_customblock.TestIpCustomblock,),
}
RUN_NO_PROGRAM = {"nftables", "firewalld", "hosts.deny", "hosts.allow", "files"}
KEEP_TIME = {"nftables", "ipset"}  # README: they end a block without the agent
JUST_HAPPEN: dict[str, type] = {
    "wazuh-slack": test_wazuh_slack.TestWazuhSlack,
    "restart-wazuh": test_restart_wazuh.TestRestartWazuh,
    "restart-wazuh.exe": test_restart_on_windows.TestRestartOnWindows,
}
ACTIONS = {
    f"{name} by {action.backend}": action
    for name, candidates in everything().items()
    for action in (each.make(ActionsSettings()) for each in candidates)
}


@pytest.mark.parametrize("name", ACTIONS)
def test_every_backend_is_held_to_the_contract(name: str) -> None:
    """And what runs programs to what becomes of those; each to what becomes of one that fails among many."""
    action = ACTIONS[name]
    held = {base for each in SUBJECTS.get(action.backend, ()) for base in each.__mro__}
    assert ActionContract in held, f"{action.backend}: its test class is to be named above"
    assert (CulpritContract if action.backend in RUN_NO_PROGRAM else ProgramContract) in held
    of_addresses = kind_of(name.partition(" by ")[0]) == "address"
    assert not of_addresses or (HostContract if action.backend == "files" else NetworkContract) in held
    assert not (action.exact or action.backend in KEEP_TIME) or EndingContract in held


def test_everything_that_just_happens_is_held_to_its_own() -> None:
    """A message, a restart."""
    settings = ActionsSettings()
    for each in built_in(settings, webhook(settings), "web1"):
        assert issubclass(JUST_HAPPEN[each.name], HappeningContract)


README = (Path(__file__).parents[2] / "README.md").read_text()
SIMULATED = {"pf", "ipfw", "npf", "netsh", "netsh route", "route", "pwpolicy", "net user"}


@pytest.mark.parametrize("name", BUILT_IN)
def test_readme_says_what_was_run_on_a_simulator(name: str) -> None:
    """Where it says `real`, it was."""
    rows = [line.split("|") for line in README.splitlines() if line.startswith("| `")]
    (run_on,) = [row[4] for row in rows if f"`{name}`" in row[1]]
    backends = {each.make(ActionsSettings()).backend for each in BUILT_IN[name]}
    assert ("simulators" in run_on, "real" in run_on) == (bool(backends & SIMULATED), bool(backends - SIMULATED))
