"""route-null by `ip` in the kernel of a host of the stage: the contract, and what it promises beyond it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.actions.action import Action, Effect, Result
from agent.actions.route_null.linux_routes import PROTOCOL, LinuxRoutes
from agent.actions.route_null.route_null import RouteNull
from agent.actions.tools.tool import Tools
from agent.contract.addresses import NetworkContract, hosts
from agent.contract.programs import ProgramContract
from shared.errors import ThwartError
from tests.contract.subject import EXAMPLES, There
from tests.stage.network import Host
from tests.stage.probe import Listener, side_by_side

BLOCKED4, BLOCKED6, OTHER4, OTHER6 = "203.0.113.7", "2001:db8:bad::7", "203.0.113.8", "2001:db8:bad::8"
NARROW4, NARROW6 = "203.0.113.6/31", "2001:db8:bad::6/127"
TAKES_AWAY = """\
#!/bin/sh
said=$(cat)
echo "$said" | /sbin/ip "$@"
code=$?
case $said in *"route show"*) [ -e {mark} ] || {{ : >{mark}; /sbin/ip route del {route}; }} ;; esac
exit $code
"""
SHORT = 0.3  # s within which an answer that comes has come


class ByIp:
    """The action on a host; in force is every blackhole in whatever table a rule of the kernel's looks into."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._all: list[There] = []
        self.tools, self.programs = Tools(), ("ip",)
        self.action: Action = self.made(self.tools)
        self.action.prepare()
        self.examples, self.many = EXAMPLES, hosts(1_000)

    def seen(self) -> set[str]:
        found = set()
        for version in ("-4", "-6"):
            rules = json.loads(self._ip("-json", version, "rule"))
            tables = {rule["table"] for rule in rules if rule["src"] == "all"}
            routes = json.loads(self._ip("-json", version, "route", "show", "table", "all") or "[]")
            found |= {
                route["dst"]
                for route in routes
                if route.get("type") == "blackhole" and route.get("table", "main") in tables
            }
        return found

    def flush(self) -> None:
        for version in ("-4", "-6"):
            self._ip(version, "route", "flush", "table", "8484")  # an error where there never was one
            self._ip(version, "rule", "flush", "table", "8484")

    def later(self) -> None:
        """The kernel tells at once."""

    def restarted(self) -> Action:
        return self.made(self.tools)

    def made(self, tools: Tools) -> There:
        self._all.append(There(self._host, lambda: RouteNull(LinuxRoutes(tools))))
        return self._all[-1]

    def _ip(self, *arguments: str) -> str:
        """In a thread that is on the host already: a process that has to go there first takes 20 times as long."""
        return self._all[0].call(
            lambda: subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False).stdout
        )

    def close(self) -> None:
        """Leaves nothing in force."""
        self.flush()
        for each in self._all:
            each.close()


@pytest.fixture
def subject(web: Host) -> Iterator[ByIp]:
    """Prepared, with nothing in force."""
    one = ByIp(web)
    yield one
    one.close()


@pytest.mark.root
class TestIpRoute(NetworkContract, ProgramContract):
    """In a table of routes of our own."""


@pytest.mark.root
def test_who_is_blocked_gets_no_answer(subject: ByIp, web: Host, attacker: Host) -> None:
    """Hosts and networks of both families; others do, and so do the blocked ones afterwards."""
    listener = Listener(web)
    everybody = [(source, listener) for source in (BLOCKED4, BLOCKED6, OTHER4, OTHER6)]
    assert side_by_side(attacker, everybody) == [True] * 4
    for keys in ((BLOCKED4, BLOCKED6), (NARROW4, NARROW6)):
        assert _problems(subject.action.apply([_effect(key) for key in keys])) == []
        assert side_by_side(attacker, everybody, within=SHORT) == [False, False, True, True]
        assert _problems(subject.action.revert([_effect(key) for key in keys])) == []
        assert side_by_side(attacker, everybody) == [True] * 4
    listener.close()


@pytest.mark.root
def test_what_goes_while_others_are_reverted_fails_nobody(subject: ByIp, web: Host, tmp_path: Path) -> None:
    """A batch ends with a route that has gone meanwhile; those before it are gone by then, too."""
    keys = [f"10.0.0.{number}" for number in range(1, 5)]
    assert _problems(subject.action.apply([_effect(key) for key in keys])) == []
    # as it lists them a first time, somebody takes one away
    (tmp_path / "ip").write_text(TAKES_AWAY.format(mark=tmp_path / "once", route=f"blackhole {keys[3]} table 8484"))
    (tmp_path / "ip").chmod(0o755)
    web.run("ip", "route", "del", "blackhole", keys[0], "table", "8484")
    action = subject.made(replace(subject.tools, path=f"{tmp_path}:{subject.tools.path}"))
    assert _problems(action.revert([_effect(key) for key in keys])) == []
    assert (tmp_path / "once").exists()
    assert subject.seen() == set()


@pytest.mark.root
def test_nobodys_spelling_of_an_address_is_no_block(subject: ByIp, web: Host) -> None:
    """An IPv4 address in IPv6's spelling comes in no packet: it is neither told, nor in the way of a real one."""
    for route in ("::ffff:203.0.113.7", "::ffff:0.0.0.0/96"):
        web.run("ip", "-6", "route", "add", "blackhole", route, "table", "8484", "proto", str(PROTOCOL))
    assert _problems(subject.action.apply([_effect(BLOCKED6)])) == []
    assert set(subject.action.inspect()) == {BLOCKED6}


@pytest.mark.root
def test_routes_of_others_stay_and_do_not_win(subject: ByIp, web: Host, attacker: Host) -> None:
    """The administrator's route to the same host keeps it reachable no longer, and is there afterwards."""
    listener = Listener(web)
    web.run("ip", "route", "add", f"{BLOCKED4}/32", "dev", "eth0", "metric", "5")
    web.run("ip", "-6", "route", "add", f"{BLOCKED6}/128", "dev", "eth0", "metric", "5")
    web.run("ip", "route", "add", "blackhole", "198.51.100.7")
    web.run("ip", "route", "add", "blackhole", "198.51.100.8", "table", "99", "proto", str(PROTOCOL))
    before = web.run("ip", "route"), web.run("ip", "-6", "route")
    both = [_effect(BLOCKED4), _effect(BLOCKED6)]
    assert _problems(subject.action.apply(both)) == []
    assert set(subject.action.inspect()) == {BLOCKED4, BLOCKED6}
    assert side_by_side(attacker, [(BLOCKED4, listener), (BLOCKED6, listener)], within=SHORT) == [False, False]
    assert _problems(subject.action.revert([*both, _effect("198.51.100.7")])) == []
    assert (web.run("ip", "route"), web.run("ip", "-6", "route")) == before
    web.run("ip", "route", "del", "blackhole", "198.51.100.7")
    web.run("ip", "route", "del", "blackhole", "198.51.100.8", "table", "99")
    listener.close()


@pytest.mark.root
def test_rules_of_others_are_looked_at_later(subject: ByIp, web: Host, attacker: Host) -> None:
    """A host with several ways out, each with a table of its own, has a rule for each: often 10, 20, …"""
    listener = Listener(web)
    web.run("ip", "rule", "add", "pref", "10", "lookup", "10")
    web.run("ip", "route", "add", "203.0.113.0/24", "dev", "eth0", "table", "10")
    assert _problems(subject.action.apply([_effect(BLOCKED4)])) == []
    assert side_by_side(attacker, [(BLOCKED4, listener), (OTHER4, listener)], within=SHORT) == [False, True]
    web.run("ip", "rule", "del", "pref", "10")
    web.run("ip", "route", "flush", "table", "10")
    listener.close()


@pytest.mark.root
def test_a_table_that_nobody_looks_into_is_no_block(subject: ByIp, web: Host) -> None:
    """Somebody's clean-up of rules is noticed at once; the next block brings the rule back, once."""
    assert _problems(subject.action.apply([_effect(BLOCKED4), _effect(BLOCKED6)])) == []
    subject.action.inspect()
    web.run("ip", "rule", "del", "pref", "1")
    assert subject.action.moved()
    assert set(subject.action.inspect()) == {BLOCKED6}
    for _ in range(2):
        assert _problems(subject.action.apply([_effect(BLOCKED4)])) == []
    assert set(subject.action.inspect()) == subject.seen() == {BLOCKED4, BLOCKED6}
    assert web.run("ip", "rule").count("lookup 8484") == 1


@pytest.mark.root
def test_what_has_ended_does_not_come_back_with_the_rule(subject: ByIp, web: Host) -> None:
    """A block that ends while nobody looks into the table isn't in force once more when the next one is."""
    assert _problems(subject.action.apply([_effect(BLOCKED4), _effect(BLOCKED6)])) == []
    web.run("ip", "rule", "del", "pref", "1")
    assert _problems(subject.action.revert([_effect(BLOCKED4)])) == []
    assert _problems(subject.action.apply([_effect(OTHER4)])) == []
    assert subject.seen() == {OTHER4, BLOCKED6}


@pytest.mark.root
def test_one_of_many_is_one_start_of_a_program(subject: ByIp, web: Host, tmp_path: Path) -> None:
    """However many there are, and whether it comes or goes."""
    (tmp_path / "ip").write_text(f'#!/bin/sh\necho >> {tmp_path}/runs\nexec /usr/sbin/ip "$@"\n')
    (tmp_path / "ip").chmod(0o755)
    counted = subject.made(replace(subject.tools, path=f"{tmp_path}:{subject.tools.path}"))
    assert _problems(counted.apply([_effect(key) for key in subject.many])) == []
    (tmp_path / "runs").write_text("")
    assert _problems(counted.apply([_effect(BLOCKED4)])) == []
    assert _problems(counted.revert([_effect(BLOCKED4)])) == []
    assert (tmp_path / "runs").read_text().count("\n") == 2


@pytest.mark.root
def test_who_never_blocks_by_routes_has_no_rule_for_it(subject: ByIp, web: Host) -> None:
    """An agent that starts adds nothing to the routing of its host."""
    subject.action.prepare()
    subject.action.inspect()
    assert _problems(subject.action.revert([_effect(BLOCKED4), _effect(BLOCKED6)])) == []
    assert "8484" not in web.run("ip", "rule") + web.run("ip", "-6", "rule")


@pytest.mark.root
def test_who_may_not_change_routes_is_told_at_the_start(web: Host) -> None:
    """Looking is allowed to anybody, and would announce what every order then fails by."""
    check = "from agent.actions.route_null.linux_routes import LinuxRoutes; LinuxRoutes().check()"
    web.run(sys.executable, "-c", check)
    with pytest.raises(ThwartError, match="Operation not permitted"):
        web.run("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, "-c", check)


def _effect(key: str) -> Effect:
    return Effect(key=key, target=key)


def _problems(results: Sequence[Result]) -> list[str]:
    return [each.problem for each in results if each.problem]
