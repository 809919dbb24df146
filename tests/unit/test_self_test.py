"""What a host does that has cut itself off from its broker, or believes so: real parts, and a way that can be cut."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from agent.self_test import REMEMBERED, WHY, Timing
from shared.broker import Reach
from shared.errors import StoreError
from shared.messages import Order
from shared.outbox import unsent
from tests.unit.a_host import AHost
from tests.unit.a_way import AWay
from tests.waiting import eventually

CUT_OFF = ("failed", WHY)
PATIENT = Timing(proof=600.0)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[AHost]:
    one = AHost(tmp_path)
    yield one
    one.close()


def address(number: int) -> str:
    return f"203.0.113.{number}"


def batch(host: AHost, count: int) -> list[Order]:
    """Orders o1, o2, … for as many addresses, each with an end of its own."""
    return [host.add(f"o{number}", address(number), 600.0 + number) for number in range(1, count + 1)]


def ends(count: int, *without: int) -> dict[str, float]:
    """What is in force of such a batch."""
    return {address(number): 600.0 + number for number in range(1, count + 1) if number not in without}


def marked(host: AHost) -> int:
    return int(host.store.run_now(lambda c: c.execute("SELECT count(*) FROM effects WHERE suspect = 1").fetchone()[0]))


def rollbacks(host: AHost, verdict: str) -> float:
    return host.metrics.registry.get_sample_value("thwart_rollbacks_total", {"verdict": verdict}) or 0.0


async def proved(host: AHost) -> None:
    """Nothing is suspected, nothing is off the host, and everything that was said came through."""

    def over() -> bool:
        return not (host.executor.off or marked(host) or host.store.run_now(unsent) or str(host.trouble))

    await eventually(over)


# -- the verdict -------------------------------------------------------------------------------------------------------


async def test_what_was_confirmed_is_never_touched(host: AHost) -> None:
    """A confirm of the answers is the proof: nobody is asked, and nothing is taken off the host."""
    way = AWay(host)
    async with way.used():
        await host.do(*batch(host, 3))
        await eventually(lambda: len(way.heard) == 3)
        way.up = False
        await host.do(host.delete("d1", "o1"))
    assert [call for call, _ in host.action.calls] == ["apply", "revert"]
    assert way.probes == 0


@pytest.mark.parametrize("culprit", [1, 2, 10, 11, 12, 20, 21])
async def test_the_one_that_cuts_off_is_found_among_others(host: AHost, culprit: int) -> None:
    """It has failed, and is off the host; all the others are in force with their own ends, and their answers stand."""
    way = AWay(host, address(culprit))
    async with way.used():
        await host.do(*batch(host, 21))
        await eventually(lambda: CUT_OFF in way.answers(f"o{culprit}"))
        await proved(host)
    assert host.in_force() == ends(21, culprit)
    for number in range(1, 22):
        assert way.answers(f"o{number}") == [("applied", "new")] + [CUT_OFF] * (number == culprit)
    assert (rollbacks(host, "cut-off"), rollbacks(host, "broker-away")) == (1, 0)
    assert host.ends(f"o{culprit}") == []


@settings(max_examples=25)
@given(count=st.integers(1, 9), culprits=st.sets(st.integers(1, 9)))
def test_whoever_cuts_off_is_found_and_nobody_else(count: int, culprits: set[int]) -> None:
    """Any number of them among any number of others."""
    guilty = culprits & set(range(1, count + 1))

    async def test() -> None:
        way = AWay(host, *map(address, guilty))
        async with way.used():
            await host.do(*batch(host, count))
            await eventually(lambda: all(CUT_OFF in way.answers(f"o{each}") for each in guilty))
            await proved(host)
        assert host.in_force() == ends(count, *guilty)

    with tempfile.TemporaryDirectory() as folder:
        host = AHost(Path(folder))
        asyncio.run(test())
        host.close()


async def test_a_broker_that_is_away_blames_nobody(host: AHost) -> None:
    """Without them it can't be reached either: they are put back, every time, and proved once it is there again."""
    way = AWay(host)
    way.up = False
    async with way.used():
        await host.do(*batch(host, 5))
        await eventually(lambda: rollbacks(host, "broker-away") >= 3)
        await eventually(lambda: not host.executor.off)
        assert host.in_force() == ends(5)
        way.up = True
        await proved(host)
    assert host.in_force() == ends(5)
    assert [way.answers(f"o{number}") for number in range(1, 6)] == [[("applied", "new")]] * 5
    assert rollbacks(host, "cut-off") == 0


@pytest.mark.parametrize("back_at", range(1, 8))
async def test_a_broker_that_comes_back_during_the_test_blames_nobody(host: AHost, back_at: int) -> None:
    """Even if it is there again just when the suspects, or some of them, are off the host."""
    way = AWay(host)
    way.up = False

    def come_back(number: int) -> None:
        way.up = number >= back_at

    way.before_probe = come_back
    async with way.used():
        await host.do(*batch(host, 6))
        await eventually(lambda: way.up)
        await proved(host)
    assert host.in_force() == ends(6)
    assert rollbacks(host, "cut-off") == 0


@pytest.mark.parametrize("away", [{3}, {4}, {5}, {6}, {4, 5, 6}, {3, 4, 5, 6, 7, 8, 9}])
async def test_a_broker_that_goes_away_during_the_test_only_delays_it(host: AHost, away: set[int]) -> None:
    """It is looked for again later, and nobody else pays for it."""
    way = AWay(host, address(4))

    def come_and_go(number: int) -> None:
        way.up = number not in away

    way.before_probe = come_and_go
    async with way.used():
        await host.do(*batch(host, 6))
        await eventually(lambda: CUT_OFF in way.answers("o4"))
        await proved(host)
    assert host.in_force() == ends(6, 4)


@pytest.mark.parametrize("away", [{1, 3}, {1, 3, 7}, {1, 4, 6}])
async def test_a_broker_that_comes_and_goes_blames_nobody(host: AHost, away: set[int]) -> None:
    """Also if it is away whenever the only suspect is in force, once, and there whenever it isn't."""
    way = AWay(host)
    way.up = False

    def come_and_go(number: int) -> None:
        way.up = number not in away

    way.before_probe = come_and_go
    async with way.used():
        await host.do(host.add("o1", address(1)))
        await eventually(lambda: way.up)
        await proved(host)
    assert host.in_force() == {address(1): 600.0}
    assert rollbacks(host, "cut-off") == 0


async def test_a_broker_under_an_alarm_is_there(host: AHost) -> None:
    """It confirms nothing, and still lets us in: nothing is taken off the host."""
    way = AWay(host)
    way.takes_messages = False
    async with way.used():
        await host.do(*batch(host, 3))
        await eventually(lambda: way.probes == 1)
        way.takes_messages = True
        await host.do(host.add("o9", address(9)))
        await proved(host)
    assert {call for call, _ in host.action.calls} == {"apply"}


async def test_a_late_confirm_is_a_proof(host: AHost) -> None:
    """A broker under load lets nobody in as soon as it should, and confirms meanwhile what it was sent before."""
    way = AWay(host)
    way.takes_messages, asked = False, way.probe

    async def too_late() -> Reach:
        way.takes_messages = True
        await asked()
        return "silent"

    way.probe = too_late
    async with way.used():
        await host.do(*batch(host, 3))
        await proved(host)
    assert {call for call, _ in host.action.calls} == {"apply"}


async def test_what_is_confirmed_during_the_test_blames_nobody(host: AHost) -> None:
    """However seldom a broker under load lets anybody in: what sets out and is answered says that the way is open."""
    way = AWay(host)
    way.up, asked = False, way.probe

    async def seldom() -> Reach:
        await asked()
        way.up = True
        if way.probes > 1:
            await host.do(host.add(f"p{way.probes}", f"198.51.100.{way.probes}"))
            await eventually(lambda: way.answers(f"p{way.probes}"))
        return "open" if way.probes % 2 == 0 else "silent"

    way.probe = seldom
    async with way.used():
        await host.do(host.add("o1", address(1)))
        await eventually(lambda: way.probes >= 3)
        await proved(host)
    assert way.answers("o1") == [("applied", "new")]
    assert address(1) in host.in_force()


async def test_a_broker_that_is_not_started_is_no_reason_to_take_anything_off(host: AHost) -> None:
    """Whoever says that no broker runs there can be heard; only if that lasts is it not believed."""
    way = AWay(host)
    way.up, way.refuses = False, True
    doubt = 0.2
    async with way.used(Timing(proof=0.01, doubt=doubt, probe=0.0)):
        await host.do(*batch(host, 3))
        began = time.monotonic()
        await eventually(lambda: way.probes >= 1)
        assert {call for call, _ in host.action.calls} == {"apply"}
        await eventually(lambda: rollbacks(host, "broker-away"))
        assert time.monotonic() - began >= doubt
        way.up = True
        await proved(host)
    assert host.in_force() == ends(3)


async def test_a_batch_that_came_into_force_without_a_broker_waits_longer(host: AHost) -> None:
    """It was away before them, so most likely it isn't their doing; they are looked at all the same, later."""
    way = AWay(host, address(2))
    way.connected.clear()
    doubt = 0.2
    async with way.used(Timing(proof=0.01, doubt=doubt, probe=0.0)):
        began = time.monotonic()
        await host.do(*batch(host, 3))
        await eventually(lambda: CUT_OFF in way.answers("o2"))
        assert time.monotonic() - began >= doubt
        await proved(host)
    assert host.in_force() == ends(3, 2)


async def test_a_batch_that_comes_when_the_broker_is_back_is_tested_soon(host: AHost) -> None:
    """However long it was away, and however rarely it was asked for in the end."""
    way = AWay(host, address(2))
    way.connected.clear()
    async with way.used(Timing(proof=0.02, doubt=600.0, probe=0.0)):
        way.up = False
        await host.do(host.add("o1", address(1)))
        way.up = True
        way.connected.set()
        await way.probe()  # the way is open again, and what was under way arrives
        await host.do(host.add("o2", address(2)))
        await eventually(lambda: CUT_OFF in way.answers("o2"))
    assert host.in_force().keys() == {address(1)}


# -- what else may happen meanwhile ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fatal", range(1, 7))
async def test_a_crash_in_the_middle_of_a_test_changes_nothing(host: AHost, fatal: int) -> None:
    """After it everything is in force again and tested again, also what was confirmed while it was off the host."""
    way = AWay(host, address(4))
    crashed = asyncio.Event()

    def crash(number: int) -> None:
        if number == fatal:
            crashed.set()
            raise asyncio.CancelledError

    way.before_probe = crash
    async with way.used():
        await host.do(*batch(host, 6))
        host.executor.keep_off = _nothing_more(host.executor.keep_off, crashed)
        await crashed.wait()
    way.before_probe = lambda number: None
    await host.restart()
    async with way.used():
        await eventually(lambda: CUT_OFF in way.answers("o4"))
        await proved(host)
    assert host.in_force() == {key: pytest.approx(left) for key, left in ends(6, 4).items()}


def _nothing_more(work, crashed: asyncio.Event):
    """What a process does that is killed."""

    async def or_nothing(names) -> None:
        if not crashed.is_set():
            await work(names)

    return or_nothing


async def test_what_was_proved_before_a_restart_is_never_taken_off(host: AHost) -> None:
    """Restoring is no reason to suspect anything, whether the broker is there or not."""
    way = AWay(host)
    async with way.used():
        await host.do(*batch(host, 3))
        await eventually(lambda: len(way.heard) == 3)
        await proved(host)
    way.up = False
    await host.restart()
    async with way.used():
        await host.do(host.add("o9", address(9)))
        await eventually(lambda: rollbacks(host, "broker-away"))
    reverted = {key for call, keys in host.action.calls for key in keys if call == "revert"}
    assert reverted == {address(9)}


async def test_a_killed_agent_tests_what_its_last_run_put_in_force(host: AHost) -> None:
    """The answers that nobody has confirmed tell of it."""
    way = AWay(host, address(2))
    async with way.used(PATIENT):
        await host.do(*batch(host, 3))
    await host.restart()
    async with way.used():
        await eventually(lambda: CUT_OFF in way.answers("o2"))
        await proved(host)
    assert host.in_force() == ends(3, 2)


async def test_a_lift_during_the_test_is_a_lift(host: AHost) -> None:
    """What somebody lifts while it is off the host has ended, and hasn't failed."""
    way = AWay(host, address(2))
    off, go_on = way.hold_up()
    async with way.used():
        await host.do(*batch(host, 2))
        await off.wait()
        await host.take(host.delete("d1", "o2"), host.delete("d2", "o1"))
        go_on.set()
        await eventually(lambda: len(way.heard) == 6)
    assert host.in_force() == {}
    said = [(each.order_id, each.cause) for each in way.heard if hasattr(each, "cause")]
    assert sorted(said) == [("o1", "lifted"), ("o2", "lifted")]
    assert CUT_OFF not in way.answers("o2")


async def test_an_extension_during_the_test_counts_when_it_is_over(host: AHost) -> None:
    """What is off the host isn't put in force by an order that holds it longer; it is put back with the later end."""
    way = AWay(host)
    way.up = False
    off, go_on = way.hold_up()
    async with way.used():
        await host.do(host.add("o1", address(1), 60.0), host.add("o2", address(2), 60.0))
        await off.wait()
        await host.do(host.add("o3", address(1), 90.0))
        host.clock.pass_(1.0)
        assert host.in_force() == {}
        assert host.store.run_now(lambda c: c.execute("SELECT detail FROM orders WHERE id = 'o3'").fetchone()[0]) == (
            "extended"
        )
        go_on.set()
        await eventually(lambda: host.in_force() == {address(1): 89.0, address(2): 59.0})


async def test_a_flush_during_the_test_brings_nothing_back_that_is_tested(host: AHost) -> None:
    """What is off the host on purpose is no drift; everything else is put right as ever."""
    way = AWay(host)
    off, go_on = way.hold_up()
    async with way.used():
        await host.do(host.add("o1", address(1)))
        await eventually(lambda: len(way.heard) == 1)
        way.up = False
        await host.do(host.add("o2", address(2)))
        await off.wait()
        host.action.flush()
        for _ in range(3):
            await host.after(5.0)
        assert host.in_force().keys() == {address(1)}
        assert host.executor.drift == 0
        go_on.set()
        await eventually(lambda: host.in_force().keys() == {address(1), address(2)})


async def test_a_repeat_of_a_failed_order_gets_that_answer(host: AHost) -> None:
    """It isn't tried again, and it is later than the first answer even if the clock was set back."""
    way = AWay(host, address(1))
    order = host.add("o1", address(1))
    async with way.used():
        await host.do(order)
        host.clock.wall_at -= 3_600
        await eventually(lambda: CUT_OFF in way.answers("o1"))
        first, second = way.heard
        assert second.settled_at > first.settled_at
        await proved(host)
    calls = len(host.action.calls)
    await host.do(order)
    (again,) = host.said()
    assert again == second
    assert len(host.action.calls) == calls


async def test_whoever_cut_this_host_off_is_protected_for_a_while(host: AHost) -> None:
    """The next order for the same address would cut it off again; a restart doesn't forget that, and time does."""
    way = AWay(host, address(1))
    async with way.used() as test:
        await host.do(*batch(host, 2))
        await eventually(lambda: test.learned().protects(address(1)))
        assert not test.learned().protects(address(2))
    host.clock.pass_(3_000)
    await host.restart()
    async with way.used() as test:
        await eventually(lambda: test.learned().protects(address(1)))
    host.clock.pass_(601)
    assert await host.journal.condemned(WHY, REMEMBERED) == []


async def test_a_network_that_cut_this_host_off_protects_nobody(host: AHost) -> None:
    """Its other addresses have done nothing."""
    host.action.key = lambda target, arguments: target
    way = AWay(host, "198.51.100.0/24")
    async with way.used() as test:
        await host.do(host.add("n", "198.51.100.0/24"))
        await eventually(lambda: CUT_OFF in way.answers("n"))
        await proved(host)
        assert not test.learned().protects("198.51.100.7")


async def test_what_ends_during_the_test_has_ended(host: AHost) -> None:
    """On time, and once, as if it had been in force."""
    way = AWay(host)
    way.up = False
    off, go_on = way.hold_up()
    async with way.used():
        await host.do(host.add("o1", address(1), 60.0), host.add("o2", address(2), 90.0))
        await off.wait()
        await host.after(60.0)
        way.up = True
        go_on.set()
        await proved(host)
    assert host.in_force() == {address(2): 30.0}
    assert [(each.order_id, each.cause, each.outcome) for each in way.heard if hasattr(each, "cause")] == [
        ("o1", "timeout", "reverted")
    ]


async def test_another_one_that_comes_during_the_test_is_found_too(host: AHost) -> None:
    """What came into force meanwhile is under suspicion in the next round."""
    way = AWay(host, address(2), address(9))
    off, go_on = way.hold_up()
    async with way.used():
        await host.do(*batch(host, 3))
        await off.wait()
        await host.do(host.add("o9", address(9)))
        go_on.set()
        await eventually(lambda: CUT_OFF in way.answers("o2") and CUT_OFF in way.answers("o9"))
        await proved(host)
    assert host.in_force() == ends(3, 2)


async def test_what_could_not_be_put_back_is_put_back_later(host: AHost) -> None:
    """A full disk in the middle of a test: until it could be written down, what was off counts as off."""
    await host.do(*batch(host, 3))
    names = [(host.action.name, address(number)) for number in (1, 2)]
    await host.executor.keep_off(names)
    assert host.in_force().keys() == {address(3)}
    settle, host.journal.settle = host.journal.settle, _full_disk
    with pytest.raises(StoreError):
        await host.executor.keep_off(())
    host.journal.settle = settle
    assert host.executor.off == frozenset(names)
    async with AWay(host).used():
        await eventually(lambda: not host.executor.off)
    assert host.in_force() == ends(3)


async def _full_disk(turn, outcomes):
    raise StoreError("no space left")


async def test_a_test_that_is_broken_off_puts_everything_back(host: AHost) -> None:
    """An agent that stops leaves the host as the journal says."""
    way = AWay(host)
    way.up = False
    off, _ = way.hold_up()
    async with way.used():
        await host.do(*batch(host, 3))
        await off.wait()
        assert host.in_force() == {}
        assert "no word from the broker" in str(host.trouble)
    assert host.in_force() == ends(3)
