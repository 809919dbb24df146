"""route-null by simulated `route` and `netstat` of three BSDs."""

from collections.abc import Collection
from functools import partial
from pathlib import Path

import pytest

from agent.actions.action import Action
from agent.actions.route_null import bsd_routes
from agent.actions.route_null.bsd_routes import BsdRoutes
from agent.actions.route_null.route_null import RouteNull
from agent.actions.tools.tool import Tools
from agent.contract.action import CulpritContract, done, effect, in_force, reverted
from agent.contract.addresses import V4, V6, NetworkContract, hosts
from agent.contract.programs import ProgramContract
from tests.contract.simulated import Simulated
from tests.stage.simulators import routes


class OnBsd(Simulated):
    """A host with routes of its own."""

    programs = ("route", "netstat")
    many = hosts(12)  # each takes a process
    system = "FreeBSD"

    def begin(self) -> None:
        self.change(lambda kept: routes.of(kept).update(system=self.system))

    def made(self, tools: Tools) -> Action:
        return RouteNull(BsdRoutes(tools), self.lookout)

    def seen(self) -> Collection[str]:
        return routes.dropped(self.kept["routes"])

    def flush(self) -> None:
        self.change(lambda kept: kept["routes"].update(table=[list(each) for each in routes.HERE]))


class OnOpenBsd(OnBsd):
    system = "OpenBSD"


class OnNetBsd(OnBsd):
    system = "NetBSD"


@pytest.fixture(params=[OnBsd, OnOpenBsd, OnNetBsd], ids=lambda each: each.system)
def bsd(request: pytest.FixtureRequest, tmp_path: Path) -> OnBsd:
    """Each system in turn, with nothing in force."""
    return request.param(tmp_path)


@pytest.fixture
def subject(tmp_path: Path) -> OnBsd:
    """FreeBSD, with nothing in force. The others differ in what they print."""
    return OnBsd(tmp_path)


class TestBsdRoutes(NetworkContract, ProgramContract):
    """In the one table that there is, marked as ours."""


class TestCulprit(CulpritContract):
    """When the kernel has no memory for one."""


def test_whatever_is_routed_to_nowhere_is_found_again(bsd: OnBsd) -> None:
    """However a system writes networks, and whatever else it lists."""
    keys = ["203.0.113.9", "203.0.113.0/24", "203.0.0.0/15", "128.0.0.0/1", "10.0.0.0/8", "203.0.113.128/25"]
    keys += ["2001:db8::/32", "2001:db8::9", "2000::/3"]
    done(bsd, dict.fromkeys(keys, 60.0))
    in_force(bsd, dict.fromkeys(keys, 60.0))
    assert set(bsd.restarted().inspect()) == set(keys)
    reverted(bsd, keys[::2])
    in_force(bsd, dict.fromkeys(keys[1::2], 60.0))


def test_what_has_a_route_already_is_not_said_to_be_blocked(bsd: OnBsd) -> None:
    """On FreeBSD ours would be a second path, and half of the connections would go on."""
    theirs = [[V4, "192.0.2.9", "UGHS"], ["2001:db8:bad::/64", "2001:db8:1::9", "UGS"]]
    bsd.change(lambda kept: kept["routes"]["table"].extend(theirs))
    results = bsd.action.apply([effect(V4, 60.0), effect("2001:db8:bad::/64", 60.0), effect(V6, 60.0)])
    assert [each.problem for each in results] == [
        "route: there is one already, by 192.0.2.9",
        "route: there is one already, by 2001:db8:1::9",
        "",
    ]
    in_force(bsd, {V6: 60.0})
    assert reverted(bsd, [V4, "2001:db8:bad::/64", V6])
    assert bsd.kept["routes"]["table"] == [*routes.HERE, *theirs]


def test_blackholes_of_others_are_not_ours(subject: OnBsd) -> None:
    """Neither adopted nor lifted: they don't bear our flag, or lead to somewhere else."""
    theirs = [[V4, "127.0.0.1", "UGHBS"], [V6, "2001:db8:1::9", "UGHBS2"]]
    subject.change(lambda kept: kept["routes"]["table"].extend(theirs))
    assert subject.action.inspect() == {}
    reverted(subject, [V4, V6])
    assert subject.kept["routes"]["table"][-2:] == theirs


def test_another_path_outlives_ours(subject: OnBsd) -> None:
    """FreeBSD: what somebody has added meanwhile isn't removed in our stead."""
    done(subject, {V4: 60.0})
    theirs = [V4, "192.0.2.9", "UGHS"]
    subject.change(lambda kept: kept["routes"]["table"].insert(0, theirs))
    reverted(subject, [V4])
    assert [each for each in subject.kept["routes"]["table"] if each[0] == V4] == [theirs]


@pytest.mark.parametrize(
    ("version", "name", "words"),
    [
        (4, V4, "-inet -host 203.0.113.9 127.0.0.1"),
        (4, "203.0.113.0/24", "-inet -net 203.0.113.0/24 127.0.0.1"),
        (6, V6, "-inet6 -host 2001:db8:bad::9 ::1"),
        (6, "2001:db8:bad::/48", "-inet6 -net 2001:db8:bad:: -prefixlen 48 ::1"),
    ],
)
def test_the_command_line(version: int, name: str, words: str) -> None:
    """As route(8) of all three takes it."""
    changing = partial(bsd_routes.changing, version, name=name)
    assert changing(command="add") == f"-n add {words} -blackhole -proto2".split()
    assert changing(command="delete") == f"-n delete {words}".split()
