"""What firewalld is given before the first block, and that nobody loses anything by it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.actions.firewalld_drop.firewalld import Firewalld
from agent.actions.firewalld_drop.firewalld_bus import FirewalldBus
from agent.actions.firewalld_drop.firewalld_zone import HOSTS, NAME, SETS
from shared.errors import ActionError
from tests.contract.by_firewalld import effect
from tests.contract.subject import There
from tests.stage import firewalld
from tests.stage.guard import Guard
from tests.stage.network import Host

BLOCKED = "203.0.113.7"
TROUBLE = f"zone {NAME} needs a reload, which would undo"
ONLY_NOW = {
    "zone trusted": ["--add-port=2222/tcp"],
    "zone public": ["--zone=public", "--add-service=https", "--timeout=60"],
    "zone drop": ["--zone=drop", "--add-source=198.51.100.0/24"],
    "policy allow-host-ipv6": ["--policy=allow-host-ipv6", "--add-service=ssh"],
    "direct rules": ["--direct", "--add-rule", "ipv4", "filter", "INPUT", "0", "-j", "ACCEPT"],
    "ipset theirs": ["--ipset=theirs", "--add-entry=198.51.100.7"],
}


class Looking:
    """firewalld, as one asks it who is allowed no more than that."""

    def __init__(self, bus: FirewalldBus) -> None:
        self._bus = bus

    def ask(self, interface: str, method: str, *what: Any, **how: Any) -> Any:
        if not method.startswith("get") and method != "Get":
            raise ActionError("firewalld: Not Authorized(polkit): …; run the agent as root")
        return self._bus.ask(interface, method, *what, **how)


@pytest.fixture
def daemon(guard: Guard, web: Host, tmp_path: Path) -> Iterator[firewalld.Firewalld]:
    """As it was installed."""
    one = firewalld.Firewalld(guard, web, tmp_path / "bus")
    yield one
    one.stop()


@pytest.fixture
def action(web: Host, daemon: firewalld.Firewalld) -> Iterator[There]:
    """Not prepared."""
    there = There(web, lambda: Firewalld(daemon.asked))
    yield there
    there.close()


@pytest.mark.root
def test_who_never_blocks_by_firewalld_finds_it_as_it_was(daemon: firewalld.Firewalld, action: There) -> None:
    """An agent that starts makes neither zone nor set, and reloads nothing."""
    before = sorted(daemon.configuration.rglob("*"))
    action.prepare()
    assert action.inspect() == {}
    assert _problem(action.revert, "") == ""
    assert sorted(daemon.configuration.rglob("*")) == before
    assert NAME not in daemon.command("--get-zones")


@pytest.mark.root
def test_who_may_only_look_is_told_at_the_start(web: Host, daemon: firewalld.Firewalld) -> None:
    """polkit lets anybody ask what is in force, so that the first block would be the first to be refused."""
    there = There(web, lambda: Firewalld(lambda: Looking(daemon.asked())))
    with pytest.raises(ActionError, match="run the agent as root"):
        there.prepare()
    there.close()


@pytest.mark.root
def test_what_is_only_in_force_for_now_is_not_undone(daemon: firewalld.Firewalld, action: There) -> None:
    """The port that somebody has opened a moment ago stays open: at the start it is said why this can't be used."""
    daemon.command("--permanent", "--new-ipset=theirs", "--type=hash:ip")
    daemon.reload()
    action.prepare()
    for command in ONLY_NOW.values():
        daemon.command(*command)
    with pytest.raises(ActionError, match=rf"{TROUBLE}.*\({', '.join(sorted(ONLY_NOW))}\).*runtime-to-permanent"):
        action.prepare()
    daemon.reload()
    action.prepare()


@pytest.mark.root
def test_a_person_decides_on_what_a_reload_would_undo(daemon: firewalld.Firewalld, action: There) -> None:
    """With the first block, too; once it was reloaded, or restarted, there is nothing left to do."""
    daemon.command("--add-port=2222/tcp")
    for _ in range(2):
        assert TROUBLE in _problem(action.apply, BLOCKED)
        assert action.inspect() == {}
        assert "2222/tcp" in daemon.command("--list-ports")
    daemon.reload()
    daemon.command("--add-port=2222/tcp")
    action.prepare()
    assert _problem(action.apply, BLOCKED) == ""
    assert "2222/tcp" in daemon.command("--list-ports")


@pytest.mark.root
def test_interfaces_survive_a_reload_by_themselves(daemon: firewalld.Firewalld, action: There, web: Host) -> None:
    """NetworkManager puts them into zones as they come, which is no reason to ask anybody."""
    daemon.command("--zone=trusted", "--change-interface=eth0")
    action.prepare()
    assert _problem(action.apply, BLOCKED) == ""
    assert set(action.inspect()) == {BLOCKED}


@pytest.mark.root
def test_one_reload_is_enough_for_ever(daemon: firewalld.Firewalld, action: There) -> None:
    """What is opened later is not even in danger; zone and sets are there after a reboot, and nobody in them."""
    assert _problem(action.apply, BLOCKED) == ""
    daemon.command("--add-port=2222/tcp")
    action.prepare()
    assert _problem(action.revert, BLOCKED) == _problem(action.apply, "203.0.113.0/24") == ""
    assert "2222/tcp" in daemon.command("--list-ports")
    daemon.stop()
    daemon.start()
    assert NAME in daemon.command("--get-active-zones")
    assert set(daemon.command("--get-ipsets").split()) == set(SETS)
    assert action.inspect() == {}


@pytest.mark.root
def test_a_zone_of_that_name_that_drops_nobody_is_no_block(daemon: firewalld.Firewalld, action: There) -> None:
    """Whoever has changed its target is told, also when it is somebody else's zone."""
    daemon.command("--permanent", f"--new-zone={NAME}")
    daemon.command("--permanent", f"--zone={NAME}", "--set-target=ACCEPT")
    assert "has the target ACCEPT" in _problem(action.apply, BLOCKED)
    with pytest.raises(ActionError, match="--set-target=DROP"):
        action.prepare()
    assert action.inspect() == {}


@pytest.mark.root
def test_sets_that_no_longer_feed_the_zone_are_bound_to_it_again(daemon: firewalld.Firewalld, action: There) -> None:
    """Members of a set that nobody looks at are not in force."""
    assert _problem(action.apply, BLOCKED) == ""
    daemon.command(f"--zone={NAME}", f"--remove-source=ipset:{HOSTS[4]}")
    assert action.inspect() == {}
    assert _problem(action.apply, BLOCKED) == ""
    assert set(action.inspect()) == {BLOCKED}


def _problem(how: object, key: str) -> str:
    assert callable(how)
    return "; ".join(each.problem for each in how([effect(key)] if key else []))
