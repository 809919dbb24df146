"""An agent whose host gets, or loses, what carries actions out: nobody is blocked twice, nobody let go in between."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from agent.actions.action import Effect, Result
from shared.errors import ActionError
from shared.messages import Expiry
from shared.settings import ActionsSettings
from tests.stage.fake_action import FakeAction
from tests.unit.a_choosing_host import AChoosingHost
from tests.unit.a_host import ATTACKER, Crash, HostClock, killed

OTHER = "203.0.113.10"


class Firewall(FakeAction):
    """One of several on a host. `together` is what both have in force whenever it is told to end something. It may keep
    no time, as iptables does, and kill the process when it is told so.
    """

    def __init__(self, clock: HostClock, backend: str, name: str = "firewall-drop") -> None:
        super().__init__(clock, name)
        self.backend = backend
        self.watched: FakeAction | None = None
        self.together: list[set[str]] = []
        self.deadly, self.timeless = False, False

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        results = super().apply(effects)
        self._ends = dict.fromkeys(self._ends) if self.timeless else self._ends
        return results

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        if self.deadly:
            raise Crash
        if self.watched is not None:
            self.together.append(self.inspect().keys() & self.watched.inspect().keys())
        return super().revert(effects)


class TwoFirewalls(AChoosingHost):
    """Has nftables, and iptables too."""

    nftables: Firewall
    iptables: Firewall

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, self._made)

    def _made(self, clock: HostClock) -> Sequence[Firewall]:
        self.nftables, self.iptables = (Firewall(clock, backend) for backend in ("nftables", "iptables"))
        return self.nftables, self.iptables

    def blocks(self) -> tuple[set[str], set[str]]:
        """What nftables has in force, and what iptables has."""
        return set(self.nftables._ends), set(self.iptables._ends)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[TwoFirewalls]:
    one = TwoFirewalls(tmp_path)
    await one.start()
    yield one
    one.close()


async def test_what_a_former_backend_blocks_is_taken_off_once_the_next_one_blocks_it(host: TwoFirewalls) -> None:
    """With the ends that it had, and in this order: at no time is anybody let go."""
    await host.do(host.add("o1", timeout=600.0), host.add("o2", OTHER, timeout=None))
    host.settings, host.nftables.watched = ActionsSettings(firewall="iptables"), host.iptables
    await host.restart()
    assert host.blocks() == (set(), {ATTACKER, OTHER})
    assert host.nftables.together == [{ATTACKER, OTHER}]
    assert host.iptables.inspect() == {ATTACKER: pytest.approx(600.0), OTHER: None}
    await host.reconciled()
    await host.restart()
    assert await host.journal.backends() == {("firewall-drop", "iptables"): True}  # nobody asks nftables any more
    assert host.answers("o1") == [("applied", "new")]


async def test_what_the_next_one_cannot_block_the_former_goes_on_blocking(host: TwoFirewalls) -> None:
    """That alone. It is tried again with everything else that failed, and then taken off."""
    await host.do(host.add("o1"), host.add("o2", OTHER))
    host.settings, host.iptables.failing[OTHER] = ActionsSettings(firewall="iptables"), "no room"
    await host.restart()
    assert host.blocks() == ({OTHER}, {ATTACKER})
    assert "what nftables has in force for firewall-drop: not everything could be taken over" in str(host.trouble)
    host.iptables.failing.clear()
    await host.backends.look()
    assert host.blocks() == (set(), {ATTACKER, OTHER})
    assert str(host.trouble) == ""


async def test_who_is_let_go_is_by_a_former_backend_as_well(host: TwoFirewalls) -> None:
    """Though that goes on blocking what the next one can't; if it fails, the answer says so."""
    await host.do(host.add("o1"), host.add("o2", OTHER))
    host.settings, host.iptables.failing[OTHER] = ActionsSettings(firewall="iptables"), "no room"
    await host.restart()
    host.iptables.failing.clear()
    host.nftables.failing[OTHER] = "busy"
    await host.do(host.delete("d1", "o2", target=OTHER))
    assert host.answers("d1") == [("failed", "nftables, which was used before: busy")]
    host.nftables.failing.clear()
    await host.after(10.0)
    assert host.blocks() == (set(), {ATTACKER})
    await host.backends.look()
    assert host.blocks() == (set(), {ATTACKER})
    assert str(host.trouble) == ""


@pytest.mark.parametrize("away", [0.0, 100.0])
async def test_what_is_over_when_the_backend_changes_is_over(host: TwoFirewalls, away: float) -> None:
    """A former one that keeps no time still has what ended while the agent was away: nobody adopts that."""
    host.nftables.timeless = True
    await host.do(host.add("o1"), host.add("o2", OTHER, timeout=60.0))
    host.settings = ActionsSettings(firewall="iptables")
    host.clock.pass_(away)
    await host.restart()
    assert host.blocks() == (set(), {ATTACKER} if away else {ATTACKER, OTHER})


async def test_a_former_backend_that_cannot_tell_is_said_and_asked_again(host: TwoFirewalls) -> None:
    """Its program is gone, and its blocks may not be. It is known over restarts."""
    await host.do(host.add("o1"))
    host.nftables.missing = "nftables: not found"
    for _ in range(2):
        await host.restart()
        assert host.blocks() == ({ATTACKER}, {ATTACKER})
        assert str(host.trouble) == "what nftables has in force for firewall-drop: nftables: not found"
    host.nftables.missing = ""
    await host.backends.look()
    assert host.blocks() == (set(), {ATTACKER})
    assert host.actions.backends() == {"firewall-drop": "iptables"}
    assert str(host.trouble) == ""


async def test_what_is_used_is_prepared_last_though_a_former_one_cannot_tell(host: TwoFirewalls) -> None:
    """Of two chains in one hook the later is the first, and is to be the one that is used."""
    prepared: list[str] = []
    for each in host.firewalls:
        each.prepare = partial(prepared.append, each.backend)
    host.nftables.inspect = lambda: _fail("busy")
    host.settings = ActionsSettings(firewall="iptables")
    await host.restart()
    assert prepared == ["iptables", "nftables", "iptables"]
    assert str(host.trouble) == "what nftables has in force for firewall-drop: busy"


async def test_what_the_next_one_has_already_is_not_applied_once_more(host: TwoFirewalls) -> None:
    """Each start applies everything: to empty the former one needs nothing else."""
    await host.do(host.add("o1"), host.add("o2", OTHER))
    host.settings = ActionsSettings(firewall="iptables")
    await host.restart()
    assert host.blocks() == (set(), {ATTACKER, OTHER})
    assert [call for call, _ in host.iptables.calls].count("apply") == 1


async def test_a_lost_journal_lifts_nothing_though_the_backend_changed_as_well(host: TwoFirewalls) -> None:
    """Whatever there may be on such a host is asked; what it has is held, as after any lost journal."""
    await host.do(host.add("o1", timeout=600.0))
    host.settings = ActionsSettings(firewall="iptables")
    await host.lose_the_journal()
    assert host.blocks() == (set(), {ATTACKER})
    assert host.iptables.inspect() == {ATTACKER: pytest.approx(600.0)}
    await host.do(host.add("o1", timeout=600.0))
    assert host.answers("o1") == [("applied", "new")]


async def test_a_lost_journal_s_former_backend_is_known_until_it_is_empty(host: TwoFirewalls) -> None:
    """A crash in the middle of emptying it is followed by another try."""
    host.nftables.timeless = True
    await host.do(host.add("o1"), host.add("o2", OTHER))
    host.settings = ActionsSettings(firewall="iptables")
    host.nftables.deadly = True
    await killed(host.lose_the_journal)
    host.nftables.deadly = False
    await host.restart()
    assert host.blocks() == (set(), {ATTACKER, OTHER})
    assert await host.journal.backends() == {("firewall-drop", "iptables"): True}


async def test_what_is_found_there_is_not_left_because_the_next_one_cannot_tell(host: TwoFirewalls) -> None:
    """Nobody knows yet what that has taken over."""
    await host.do(host.add("o1"))
    host.settings = ActionsSettings(firewall="iptables")
    inspect, host.iptables.inspect = host.iptables.inspect, lambda: _fail("busy")
    await host.lose_the_journal()
    assert host.blocks()[0] == {ATTACKER}
    assert "what nftables has in force for firewall-drop: busy" in str(host.trouble)
    host.iptables.inspect = inspect
    await host.backends.look()
    assert host.blocks() == (set(), {ATTACKER})


def _fail(words: str) -> dict[str, float | None]:
    raise ActionError(words)


async def test_what_was_never_used_and_cannot_tell_is_no_trouble(tmp_path: Path) -> None:
    """A host without iptables is an ordinary one."""
    host = TwoFirewalls(tmp_path)
    host.iptables.missing = "iptables: not found"
    await host.start()
    assert str(host.trouble) == ""
    host.close()


async def test_what_appears_while_the_agent_runs_is_used(tmp_path: Path) -> None:
    """Orders before it are refused with the reason; after it what is in force there is known, as after a start."""
    host = TwoFirewalls(tmp_path)
    host.nftables.missing = host.iptables.missing = "not found"
    host.iptables.tamper({OTHER: 60.0})
    await host.start()
    await host.do(host.add("o1"))
    assert host.answers("o1") == [("refused", "unsupported: nftables: not found; iptables: not found")]
    assert str(host.trouble).startswith("firewall-drop can't be carried out on this host: nftables: ")
    host.iptables.missing = ""
    await host.backends.look()
    await host.do(host.add("o2"))
    assert host.answers("o2") == [("applied", "new")]
    await host.reconciled()
    assert host.blocks() == (set(), {ATTACKER, OTHER})
    assert str(host.trouble) == ""
    host.nftables.missing = ""
    await host.backends.look()
    assert host.actions.backends() == {"firewall-drop": "iptables"}
    host.close()


async def test_what_should_be_in_force_is_once_its_backend_is_back(host: TwoFirewalls) -> None:
    """It started without any: nothing is forgotten, and ends that came meanwhile are made good."""
    await host.do(host.add("o1"), host.add("o2", OTHER, timeout=60.0))
    host.nftables.missing = host.iptables.missing = "not found"
    await host.restart()
    await host.after(61.0)
    assert host.ends("o2") == [("timeout", "failed")]
    assert "firewall-drop can't be carried out on this host any more: nftables: not found" in str(host.trouble)
    host.nftables.missing = ""
    host.nftables.tamper({OTHER: None})
    await host.backends.look()
    assert host.blocks() == ({ATTACKER}, set())


async def test_what_appears_takes_over_from_a_former_one_too(host: TwoFirewalls) -> None:
    """That comes back later still, and is emptied then."""
    await host.do(host.add("o1", timeout=None))
    host.nftables.missing = host.iptables.missing = "not found"
    await host.restart()
    host.iptables.missing = ""
    await host.backends.look()
    assert host.blocks() == ({ATTACKER}, {ATTACKER})
    assert str(host.trouble) == "what nftables has in force for firewall-drop: not found"
    host.nftables.missing = ""
    await host.backends.look()
    assert host.blocks() == (set(), {ATTACKER})


async def test_an_address_blocked_under_two_names_of_one_backend_is_one_effect(tmp_path: Path) -> None:
    """It ends when both have, and each is answered, and told its end, by the name that it has for it."""
    host = TwoFirewalls(tmp_path)
    host.alias = "nftables"
    await host.restart()
    await host.do(host.add("o1"), host.add("o2", timeout=900.0, action="pf"), host.add("o3", OTHER, action="pf"))
    assert host.nftables.inspect() == {ATTACKER: pytest.approx(900.0), OTHER: pytest.approx(600.0)}
    assert (host.answers("o1"), host.answers("o2")) == ([("applied", "new")], [("applied", "extended")])
    await host.reconciled()
    await host.do(host.delete("d1", "o1"), host.delete("d2", "o3", target=OTHER, action="pf"))
    assert set(host.nftables.inspect()) == {ATTACKER}
    await host.do(host.delete("d3", "o2", action="pf"))
    assert host.nftables.inspect() == {}
    assert [(each.order_id, each.action) for each in host.said() if isinstance(each, Expiry)] == [
        ("o1", "firewall-drop"),
        ("o3", "pf"),
        ("o2", "pf"),
    ]
    await host.take(host.add("o4", action="pf"))
    (lifted,) = (await host.executor.lift(lambda hold: hold.order_id == "o4")).orders
    assert lifted.action == "firewall-drop"
    host.close()


async def test_what_was_one_effect_is_nobody_s_under_the_other_name_once_they_part(tmp_path: Path) -> None:
    """Another backend is firewall-drop's after a restart; what the former has is held as any stranger is."""
    host = TwoFirewalls(tmp_path)
    host.alias = "nftables"
    await host.restart()
    await host.do(host.add("o1"), host.add("o2", OTHER, action="pf"))
    host.settings = ActionsSettings(firewall="iptables")
    await host.restart()
    assert host.blocks() == ({ATTACKER, OTHER}, {ATTACKER, OTHER})
    await host.journal.release()  # a manager has sent all that is in force
    await host.turns()
    assert host.blocks() == (set(), {ATTACKER, OTHER})
    await host.reconciled()
    await host.do(host.delete("d1", "o1"), host.delete("d2", "o2", action="pf"))
    assert host.blocks() == (set(), set())
    host.close()


async def test_what_was_adopted_is_told_of_by_each_of_its_names(tmp_path: Path) -> None:
    """Who lifts what was forgotten hears that it is still held."""
    host = TwoFirewalls(tmp_path)
    host.alias = "nftables"
    host.nftables.tamper({ATTACKER: 60.0})
    await host.restart()
    await host.do(host.delete("d1", "o1"), host.delete("d2", "o1", action="pf"))
    assert (
        host.answers("d1")
        == host.answers("d2")
        == [("lifted", "adopted: held until all that is in force has been sent")]
    )
    host.close()


async def test_what_was_blocked_apart_is_one_effect_once_its_names_are(tmp_path: Path) -> None:
    """Another backend is firewall-drop's after a restart: its blocks and those by its other name become the same."""
    host = TwoFirewalls(tmp_path)
    host.alias = "iptables"
    await host.restart()
    await host.do(host.add("o1"), host.add("o2", timeout=900.0, action="pf"), host.add("o3", OTHER, action="pf"))
    assert host.blocks() == ({ATTACKER}, {ATTACKER, OTHER})
    await host.take(host.add("o4", "203.0.113.11", action="pf"))
    host.settings = ActionsSettings(firewall="iptables")
    await host.restart()
    assert host.blocks() == (set(), {ATTACKER, OTHER, "203.0.113.11"})
    await host.reconciled()
    await host.do(host.delete("d1", "o2", action="pf"))
    assert host.iptables.inspect()[ATTACKER] == pytest.approx(600.0 - 12.0)
    await host.do(host.delete("d2", "o1"), host.delete("d3", "o3", "o4", action="pf"))
    assert host.iptables.inspect() == {}
    host.close()


async def test_an_action_that_cannot_tell_ends_is_only_asked_what_is_in_force(host: TwoFirewalls) -> None:
    """The end is the executor's to keep; who lets go early is found all the same."""
    host.nftables.exact = False
    await host.do(host.add("o1"), host.add("o2", OTHER, timeout=60.0))
    host.nftables.tamper({ATTACKER: None})
    await host.after(6.0)
    assert host.nftables.inspect() == {ATTACKER: None, OTHER: pytest.approx(54.0)}
    await host.reconciled()
    host.nftables.tamper({ATTACKER: None, OTHER: None})
    await host.after(60.0)
    assert set(host.nftables.inspect()) == {ATTACKER}
