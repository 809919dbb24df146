"""Somebody else changes what is in force, and the journal's word comes true again; nobody is told that it ended."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.actions.action import Effect, Result
from agent.watch import AWAY, GRACE, LONGEST_LOOK, LOOK, PATIENCE
from tests.stage.fake_action import FakeAction
from tests.unit.a_host import ATTACKER, AHost, killed

OTHER, STRANGER = "203.0.113.10", "198.51.100.1"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[AHost]:
    one = AHost(tmp_path)
    await one.do(one.add("o1", timeout=600.0), one.add("o2", OTHER, timeout=None))
    yield one
    one.close()


def figures(host: AHost) -> dict[str, float]:
    """What the metrics say of drift and of repairs, without the zeros."""
    samples = [each for metric in host.metrics.registry.collect() for each in metric.samples]
    wanted = ("thwart_drift", "thwart_repairs_total")
    return {each.labels.get("found", "drift"): each.value for each in samples if each.name in wanted and each.value}


async def test_a_flush_is_put_right(host: AHost) -> None:
    """For the time that is left; orders and managers hear nothing of it, the log and the metrics do."""
    host.action.flush()
    with capture_logs() as logs:
        await host.after(LOOK)
    assert host.in_force() == {ATTACKER: 600.0 - LOOK, OTHER: None}
    assert max(host.counts().values()) == 1
    (line,) = [each for each in logs if each.get("action") == "reconciled"]
    assert (line["put_right"], line["failed"], line["was_missing"]) == (2, 0, 2)
    assert figures(host) == {"missing": 2.0}
    assert host.executor.drift == 0


async def test_each_kind_of_change_is_put_right(host: AHost) -> None:
    """An end that was moved, one that was deleted, one that is nobody's."""
    host.action.tamper({ATTACKER: None, STRANGER: 7_200.0})
    await host.after(LOOK)
    assert host.in_force() == {ATTACKER: 600.0 - LOOK, OTHER: None}
    assert figures(host) == {"moved": 1.0, "missing": 1.0, "unknown": 1.0}


async def test_ten_thousand_are_put_right_in_one_go(host: AHost) -> None:
    """And ends that are due go first."""
    many = [host.add(f"m{n}", f"10.9.{n >> 8}.{n & 255}", timeout=3_600.0) for n in range(10_000)]
    await host.do(*many)
    await host.after(600.0 - LOOK)
    host.action.flush()
    host.action.calls.clear()
    host.clock.pass_(LOOK)
    await host.executor.turn()
    (first, ended), *rest = host.action.calls
    assert (first, ended) == ("revert", (ATTACKER,))
    assert {call for call, _ in rest} == {"apply"}
    assert set(host.in_force()) == {OTHER, *(each.target for each in many)}


async def test_an_action_that_says_nothing_moved_is_not_looked_at(host: AHost) -> None:
    """A look at 100,000 effects isn't for nothing."""
    await host.after(LOOK)
    host.action.tamper({})
    host.action._moved = False
    await host.after(LOOK)
    assert host.in_force() == {}
    host.action._moved = True
    await host.after(LOOK)
    assert set(host.in_force()) == {ATTACKER, OTHER}


async def test_after_a_long_silence_it_looks_whatever_the_action_says(host: AHost) -> None:
    """The process was stopped or the host suspended: kernels count on only while the host runs."""
    await host.after(LOOK)
    host.action.tamper({ATTACKER: 600.0, OTHER: None})
    host.action._moved = False
    await host.after(AWAY + 20.0)
    assert host.in_force() == {ATTACKER: 600.0 - LOOK - AWAY - 20.0, OTHER: None}


async def test_a_process_stopped_between_two_clocks_applies_anew(host: AHost) -> None:
    """What it applied with the time left of a moment long gone would end too late."""
    await host.after(LOOK)
    as_it_is = host.action.apply

    def late(effects: Sequence[Effect]) -> list[Result]:
        host.clock.pass_(30.0)
        host.action.apply = as_it_is
        return as_it_is(effects)

    host.action.apply = late
    await host.take(host.add("o3", STRANGER, timeout=60.0))
    await host.executor.turn()
    assert host.in_force()[STRANGER] == 60.0
    await host.turns()
    assert host.in_force()[STRANGER] == 60.0 - 30.0


async def test_what_expired_is_not_drift(host: AHost) -> None:
    """The kernel ended it a moment before the turn that says so."""
    host.action.tamper({OTHER: None})
    await host.after(600.0 - 0.5)
    assert host.executor.drift == 0
    assert figures(host) == {}


async def test_what_cannot_be_put_right_stays_counted_and_is_tried_again(host: AHost) -> None:
    """Less and less often, and it is over as soon as it works."""
    host.action.failing[ATTACKER] = "busy"
    host.action.flush()
    await host.after(LOOK)
    assert host.in_force() == {OTHER: None}
    assert host.executor.drift == 1
    assert figures(host) == {"missing": 1.0, "drift": 1.0}
    assert "busy" in str(host.trouble)
    host.action.failing.clear()
    await host.after(LOOK)
    assert set(host.in_force()) == {ATTACKER, OTHER}
    assert host.executor.drift == 0
    assert figures(host) == {"missing": 2.0}


async def test_what_is_put_right_and_does_not_stay_is_looked_for_less_and_less(host: AHost) -> None:
    """An action that says done and did nothing doesn't keep the host busy."""
    host.action.apply = lambda effects: host.action._results(effects)
    host.action.flush()
    looks = 0
    as_it_is = host.action.inspect

    def counted() -> dict[str, float | None]:
        nonlocal looks
        looks += 1
        return as_it_is()

    host.action.inspect = counted
    for _ in range(120):
        await host.after(LOOK)
    assert 4 <= looks <= 4 + 240 / LONGEST_LOOK + 2


async def test_a_host_that_cannot_be_looked_at_is_trouble(host: AHost) -> None:
    """And what was changed meanwhile is put right once it can."""
    host.action.missing = "the kernel doesn't answer"
    host.action.flush()
    await host.after(LOOK)
    assert "can't be looked at: the kernel doesn't answer" in str(host.trouble)
    host.action.missing = ""
    await host.after(LOOK)
    assert str(host.trouble) == ""
    assert set(host.in_force()) == {ATTACKER, OTHER}


async def test_an_order_on_its_way_is_not_taken_for_a_stranger(host: AHost) -> None:
    """A crash came between host and journal, and the host's disk is full: what the host has is about to be ours."""
    await host.after(LOOK)
    await host.take(host.add("o3", STRANGER))
    host.journal.deadly = True
    await killed(host.turns)
    host.journal.deadly = False
    host.action._moved = True
    host.action.calls.clear()
    await host.after(LOOK)
    assert ("revert", (STRANGER,)) not in host.action.calls
    assert host.answers("o3") == [("applied", "new")]


async def test_what_is_lifted_between_look_and_turn_does_not_come_back(host: AHost) -> None:
    """The turn goes by the journal of its own moment."""
    host.action.flush()
    host.clock.pass_(LOOK)
    await host.executor._watch.look(host.executor._hands.do)
    assert host.executor.drift == 2
    await host.take(host.delete("d1", "o1"))
    await host.turns()
    assert host.in_force() == {OTHER: None}


async def test_what_was_put_there_while_the_agent_was_away_is_held_for_a_while(host: AHost) -> None:
    """The journal may be an older copy of itself: a catch-up has the time to say whose it is."""
    await host.journal.release()
    host.action.tamper({ATTACKER: 600.0, OTHER: None, STRANGER: None})
    await host.restart()
    assert set(host.in_force()) == {ATTACKER, OTHER, STRANGER}
    await host.after(GRACE - 1.0)
    assert STRANGER in host.in_force()
    await host.after(1.0)
    assert set(host.in_force()) == {ATTACKER, OTHER}
    assert max(host.counts().values()) == 1


async def test_an_action_that_cannot_be_looked_at_keeps_no_other_from_being(host: AHost) -> None:
    """One that hangs or fails is trouble of its own."""
    broken = FakeAction(host.clock, "host-deny")
    broken.missing = "no such file"
    host.executor._actions[broken.name] = broken
    host.action.flush()
    await host.after(LOOK)
    assert "by host-deny can't be looked at: no such file" in str(host.trouble)
    assert set(host.in_force()) == {ATTACKER, OTHER}


async def test_an_action_that_cannot_be_looked_at_has_no_other_looked_at_for_nothing(host: AHost) -> None:
    """A hundred thousand blocks are not to be read every other second because a file is unreadable."""
    broken, looks = FakeAction(host.clock, "host-deny"), Counter[str]()
    broken.missing = "no such file"
    host.executor._actions[broken.name] = broken
    for each in (host.action, broken):
        each.inspect = partial(_counted, each.name, each.inspect, looks)
    for _ in range(10):
        await host.after(LOOK)
    assert set(looks) == {"host-deny"}
    broken.missing = ""
    await host.after(LOOK)
    assert str(host.trouble) == ""


async def test_an_action_that_takes_long_to_fail_seldom_holds_up_others(host: AHost) -> None:
    """A lock that somebody else holds for ever is waited for now and then; it is looked at soon once it is free."""
    locked, looks = FakeAction(host.clock, "host-deny"), Counter[str]()
    locked.missing = "somebody else holds the lock"

    def waits() -> dict[str, float | None]:
        host.clock.pass_(5.0 if locked.missing else 0.0)
        return FakeAction.inspect(locked)

    locked.inspect = partial(_counted, locked.name, waits, looks)
    host.executor._actions[locked.name] = locked
    for _ in range(100):
        await host.after(LOOK)
    assert 2 <= looks[locked.name] <= 3
    assert str(host.trouble) == "what is in force by host-deny can't be looked at: somebody else holds the lock"
    locked.missing = ""
    await host.after(5.0 * PATIENCE)
    assert str(host.trouble) == ""


def _counted(name: str, inspect: Callable[[], dict[str, float | None]], looks: Counter[str]) -> dict[str, float | None]:
    looks[name] += 1
    return inspect()
