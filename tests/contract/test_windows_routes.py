"""route-null.exe by a simulated netsh."""

from collections.abc import Collection
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.actions.action import Action
from agent.actions.route_null.route_null import RouteNull
from agent.actions.route_null.windows_routes import WindowsRoutes, parsed
from agent.actions.tools.tool import Tools
from agent.contract.action import CulpritContract, done, effect, in_force, reverted
from agent.contract.addresses import V4, V6, NetworkContract
from agent.contract.programs import ProgramContract
from shared.errors import ActionError
from tests.contract.simulated import Simulated
from tests.stage.simulators import windows_routes
from tests.stage.simulators.host import network

WHATEVER = """\
#!/bin/sh
case "$*" in
-f*) {lines} "$2" >{mark}.part; {real} -f {mark}.part; exit 1 ;;
*show*) exec {real} "$@" ;;
esac
echo "$5" | sed 's/prefix=//; s,/32,,' >>{mark}
{alone}
"""
ROUTE = ("interface", "ipv4", "add", "route")


class OnWindows(Simulated):
    """A host with a gateway, and routes of Windows' own."""

    programs = ("netsh",)

    def begin(self) -> None:
        self.run("netsh", "interface", "ipv4", "show", "route")

    def made(self, tools: Tools) -> Action:
        return RouteNull(WindowsRoutes(tools), self.lookout)

    def seen(self) -> Collection[str]:
        return windows_routes.nowhere(self.kept)

    def flush(self) -> None:
        self.change(windows_routes.flush)


@pytest.fixture
def subject(tmp_path: Path) -> OnWindows:
    """With nothing in force."""
    return OnWindows(tmp_path)


class TestWindowsRoutes(NetworkContract, ProgramContract):
    """Over the loopback interface, with a metric of ours."""


class TestCulprit(CulpritContract):
    """When the stack has no memory for one."""


def test_what_is_sent_there_goes_nowhere_and_all_else_as_before(subject: OnWindows) -> None:
    """The stock script's route leads over the gateway, and blocks nobody."""
    done(subject, {V4: 60.0, "2001:db8:bad::/64": None})
    kept = subject.kept
    for address, interface in ((V4, 1), (V6, 1), ("203.0.113.90", 12), ("2001:db8::9", 12), ("192.168.1.9", 12)):
        target = network(address)
        assert target is not None
        assert windows_routes.sent_to(kept, target) == interface, address


def test_routes_of_others_stay_as_they_are(subject: OnWindows) -> None:
    """Also one to nowhere that somebody has made by hand; it is neither ours nor lifted with ours."""
    subject.run("netsh", *ROUTE, "prefix=203.0.113.90/32", "interface=1", "store=active")
    before = subject.kept["routes"]
    done(subject, {V4: 60.0, V6: None})
    assert set(subject.action.inspect()) == {V4, V6}
    reverted(subject, [V4, V6, "203.0.113.90"])
    assert subject.kept["routes"] == before


def test_what_has_a_route_already_is_not_said_to_be_blocked(subject: OnWindows) -> None:
    """Which of the two would be taken nobody can say."""
    subject.run("netsh", *ROUTE, f"prefix={V4}/32", "interface=12", "nexthop=192.168.1.7", "store=active")
    results = subject.action.apply([effect(V4, 60.0), effect(V6, 60.0)])
    assert [each.problem for each in results] == ["netsh: there is a route already, by 192.168.1.7", ""]
    in_force(subject, {V6: 60.0})


def test_they_are_gone_with_the_next_start(subject: OnWindows) -> None:
    """Nobody would end them if the agent didn't come back."""
    done(subject, {V4: 60.0})
    assert subject.kept["routes"]["persistent"] == []


def test_without_ipv6_ipv4_is_blocked_all_the_same(subject: OnWindows) -> None:
    """And who asks for the other is told why not."""
    subject.change(windows_routes.without_ipv6)
    subject.action.prepare()
    results = subject.action.apply([effect(V4, 60.0), effect(V6, 60.0)])
    assert (results[0].problem, "ipv6 is off here" in results[1].problem) == ("", True)
    in_force(subject, {V4: 60.0})


def test_without_a_loopback_interface_it_is_told_at_the_start(subject: OnWindows) -> None:
    """There would be nowhere to lead to."""
    subject.change(lambda state: windows_routes.of(state).update(table=[]))
    with pytest.raises(ActionError, match=r"no loopback interface .* ipv4 is off here"):
        subject.action.prepare()


@pytest.mark.parametrize("script", ["as it should", "stops early", "does nothing", "fails"])
def test_many_are_carried_out_whatever_becomes_of_a_script(subject: OnWindows, tmp_path: Path, script: str) -> None:
    """What can be done alone is done, what can't has netsh's words, and nothing is done twice."""
    netsh, mark, real = tmp_path / "other" / "netsh", tmp_path / "alone", f"{subject.tools.path}/netsh"
    netsh.parent.mkdir()
    lines = {"as it should": "cat", "stops early": "head -n 3", "does nothing": "true", "fails": "true"}[script]
    alone = "echo no; exit 1" if script == "fails" else f'exec {real} "$@"'
    netsh.write_text(WHATEVER.format(lines=lines, alone=alone, real=real, mark=mark))
    netsh.chmod(0o755)
    action = RouteNull(WindowsRoutes(replace(subject.tools, path=f"{netsh.parent}:/usr/bin:/bin")))
    keys = [f"203.0.113.{number}" for number in range(1, 7)]
    culprits = {"as it should": [], "fails": keys}.get(script, [keys[3]])
    for each in culprits:
        subject.spoil(each)
    results = action.apply([effect(key, 60.0) for key in keys])
    assert [each.key for each in results if each.problem] == culprits
    assert set(subject.seen()) == set(keys) - set(culprits)
    calls = mark.read_text().split() if mark.exists() else []
    assert calls == {"as it should": [], "stops early": keys[3:], "does nothing": keys, "fails": keys[:1]}[script]


def test_nothing_but_numbers_is_read() -> None:
    """Words before them are in the host's language; what follows may have blanks."""
    line = "Nein     Manuell   1    203.0.113.9/32              1  Loopback Pseudo-Interface 1"
    (route,) = parsed(f"\r\nVeröff.  Typ  Met  Präfix\r\n{line}\r\n")
    assert (route.prefix, route.metric, route.interface, route.by) == (f"{V4}/32", 1, 1, "Loopback Pseudo-Interface 1")
