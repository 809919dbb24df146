"""What one order, or two, come to: by the journal, the executor, and a host that keeps books."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.executor import FIRST_RETRY, LOOK
from shared.errors import StoreError
from shared.ids import fingerprint
from shared.messages import Acknowledgement, Expiry
from tests.stage.fake_action import FakeAction
from tests.unit.a_host import AGENT, ATTACKER, AHost, killed

OTHER = "203.0.113.10"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[AHost]:
    one = AHost(tmp_path)
    yield one
    one.close()


async def test_a_new_effect_is_applied_with_the_time_left(host: AHost) -> None:
    """min(timeout, expires_at - now), fixed when the order is taken; the answer says when the effect ends."""
    order = host.add(timeout=600.0, issued_at=host.clock.wall() - 100, expires_at=host.clock.wall() + 500)
    await host.do(order)
    assert host.in_force() == {ATTACKER: 500.0}
    (answer,) = host.said()
    assert isinstance(answer, Acknowledgement)
    assert (answer.status, answer.detail, answer.agent_id) == ("applied", "new", AGENT)
    assert answer.expires_at == order.expires_at


async def test_a_longer_order_extends_and_a_shorter_one_changes_nothing(host: AHost) -> None:
    """`extended` and `unchanged` go by the ends of those who hold it; the shorter one's answer has the later end."""
    await host.do(host.add("o1", timeout=60.0))
    await host.do(host.add("o2", timeout=600.0))
    await host.do(host.add("o3", timeout=90.0))
    await host.do(host.add("o4", timeout=None))
    assert [host.answers(each)[0] for each in ("o1", "o2", "o3", "o4")] == [
        ("applied", "new"),
        ("applied", "extended"),
        ("unchanged", ""),
        ("applied", "extended"),
    ]
    assert host.in_force() == {ATTACKER: None}
    third = next(each for each in host.said() if each.order_id == "o3")
    assert third.expires_at == host.clock.wall() + 600.0


async def test_an_end_that_no_longer_comes_wakes_nobody(host: AHost) -> None:
    """Whatever was to end was failed before: the executor waits for the next end, and doesn't turn on the spot."""
    await host.do(host.add("o1", timeout=60.0), host.add("o2", OTHER, timeout=60.5))
    names = [(host.action.name, ATTACKER)]
    await host.executor.keep_off(names)
    await host.executor.condemn(names, "cut-off")
    await host.after(60.2)
    assert host.executor._patience() == pytest.approx(0.3)
    await host.after(1.0)
    assert host.ends("o2") == [("timeout", "reverted")]
    assert host.executor._patience() == LOOK


async def test_each_holder_has_one_end_and_the_last_one_is_the_revert(host: AHost) -> None:
    """`kept` says until when; only the last holder's end takes the effect off the host."""
    await host.do(host.add("short", timeout=60.0), host.add("long", timeout=600.0))
    await host.after(60.0)
    assert host.ends("short") == [("timeout", "kept")]
    end = host.said()[-1]
    assert isinstance(end, Expiry)
    assert end.detail == "held by others until 2025-11-24T16:10:00+00:00"
    assert host.in_force() == {ATTACKER: 540.0}
    await host.after(540.0)
    assert host.ends("long") == [("timeout", "reverted")]
    assert host.action.calls[-1] == ("revert", (ATTACKER,))


async def test_a_lift_of_the_longest_holder_moves_the_end_earlier(host: AHost) -> None:
    """The host is told the end that remains; lifting the shorter one tells it nothing."""
    await host.do(host.add("short", timeout=60.0), host.add("mid", timeout=90.0), host.add("long", timeout=None))
    await host.do(host.delete("d1", "long"))
    assert host.in_force() == {ATTACKER: 90.0}
    calls = len(host.action.calls)
    await host.do(host.delete("d2", "short"))
    assert len(host.action.calls) == calls
    assert host.ends("long") == host.ends("short") == [("lifted", "kept")]
    assert host.answers("d1") == host.answers("d2") == [("lifted", "")]


async def test_a_delete_of_what_was_never_here_is_remembered(host: AHost) -> None:
    """It is answered `lifted`, and so is the add that comes after it."""
    await host.do(host.delete("d1", "o1"))
    await host.do(host.add("o1"))
    assert host.answers("d1") == [("lifted", "not in force")]
    assert host.answers("o1") == [("lifted", "lifted before it came")]
    assert host.action.calls == []


async def test_an_add_and_its_delete_in_one_batch_block_nobody(host: AHost) -> None:
    """A delete that arrives before its add was carried out ends it there."""
    await host.do(host.add("o1"), host.delete("d1", "o1"))
    assert host.answers("o1") == [("lifted", "lifted before it was carried out")]
    assert host.in_force() == {}
    assert host.ends("o1") == []


async def test_a_repeat_gets_the_recorded_answer_and_end_again(host: AHost) -> None:
    """Word for word, with the same message id, and nothing is done on the host."""
    order = host.add(timeout=60.0)
    await host.do(order)
    calls = len(host.action.calls)
    taken = await host.take(order)
    assert (taken.fresh, taken.repeated) == (0, 1)
    await host.after(60.0)
    await host.do(replace(order, deadline=order.deadline + 600))
    first, again, end, third, end_again = host.said()
    assert first == again == third
    assert end == end_again
    assert len(host.action.calls) == calls + 1


async def test_stale_is_judged_when_it_comes_and_anew_when_it_comes_again(host: AHost) -> None:
    """Less than a second left, or past the deadline; what was never carried out may be once its time is right."""
    late = host.add("late", timeout=None, deadline=host.clock.wall() - 1)
    brief = host.add("brief", timeout=0.9)
    await host.do(late, brief)
    assert host.answers("late") == [("stale", "1.0 s after its deadline")]
    assert host.answers("brief") == [("stale", "0.9 s left when it came")]
    await host.do(replace(late, deadline=host.clock.wall() + 60))
    assert host.answers("late")[-1] == ("applied", "new")


async def test_stale_stays_stale_when_it_has_been_lifted_meanwhile(host: AHost) -> None:
    """It was never in force and never will be: there is nothing new to say when it comes again."""
    late = host.add("late", timeout=60.0, deadline=host.clock.wall() - 1)
    await host.do(late)
    await host.do(host.delete("d1", "late"))
    for again in (late, replace(late, deadline=host.clock.wall() + 60)):
        await host.do(again)
    assert set(host.answers("late")) == {("stale", "1.0 s after its deadline")}
    assert host.in_force() == {}


async def test_a_dry_run_holds_nothing(host: AHost) -> None:
    """It is answered, the host isn't touched, and a dry delete lifts nothing."""
    await host.do(host.add("dry", dry_run=True), host.add("o1"))
    await host.do(host.delete("d1", "o1", dry_run=True))
    assert host.answers("dry") == host.answers("d1") == [("simulated", "nothing was changed")]
    assert host.answers("o1") == [("applied", "new")]
    assert set(host.in_force()) == {ATTACKER}


async def test_what_did_not_work_is_failed_with_the_programs_words(host: AHost) -> None:
    """No answer `applied` without the effect; one that fails stops no other, and is cleared away in case."""
    host.action.failing[OTHER] = "Operation not supported"
    await host.do(host.add("o1"), host.add("o2", OTHER), host.add("o3", OTHER, timeout=60.0))
    assert host.answers("o1") == [("applied", "new")]
    assert host.answers("o2") == host.answers("o3") == [("failed", "Operation not supported")]
    assert "Operation not supported" in str(host.trouble)
    host.action.failing.clear()
    await host.after(FIRST_RETRY)
    assert host.action.calls[-1] == ("revert", (OTHER,))
    assert str(host.trouble) == ""


async def test_an_extension_that_fails_leaves_what_was_in_force(host: AHost) -> None:
    """The first order still holds it until its own end."""
    await host.do(host.add("o1", timeout=60.0))
    host.action.failing[ATTACKER] = "busy"
    await host.do(host.add("o2", timeout=600.0), host.add("o3", timeout=30.0))
    assert host.answers("o2") == [("failed", "busy")]
    assert host.answers("o3") == [("unchanged", "")]
    host.action.failing.clear()
    await host.after(60.0)
    assert host.ends("o1") == [("timeout", "reverted")]
    assert host.ends("o2") == []


async def test_a_revert_that_fails_is_told_once_and_tried_until_it_works(host: AHost) -> None:
    """Each delete is answered `failed`, and the block does not stay for ever because of it."""
    await host.do(host.add(timeout=None))
    host.action.failing[ATTACKER] = "busy"
    await host.do(host.delete("d1", "o1"))
    assert host.answers("d1") == [("failed", "busy")]
    assert host.ends() == [("lifted", "failed")]
    await host.after(FIRST_RETRY)
    await host.after(FIRST_RETRY)
    await host.do(host.delete("d2", "o1"))
    assert host.answers("d2") == [("failed", "it could not be ended yet, and is tried again")]
    host.action.failing.clear()
    await host.after(10 * FIRST_RETRY)
    assert host.in_force() == {}
    assert host.ends() == [("lifted", "failed")]
    assert await host.journal.effects() == {}
    await host.do(host.delete("d3", "o1"))
    assert host.answers("d3") == [("lifted", "not in force")]


async def test_what_is_on_the_host_past_its_end_is_counted(host: AHost) -> None:
    """Its time is over and nobody has come to it yet, or it could not be ended; not what somebody holds still."""
    await host.do(host.add("o1", timeout=60.0))
    await host.do(host.add("o2", OTHER, timeout=60.0), host.add("o3", OTHER, timeout=None))
    assert await host.journal.outlived() == 0
    host.clock.pass_(60.0)
    assert await host.journal.outlived() == 1
    host.action.failing[OTHER] = "busy"
    await host.turns()
    assert await host.journal.outlived() == 0
    await host.journal.lift(lambda hold: True)
    assert await host.journal.outlived() == 1
    await host.turns()
    assert (host.in_force(), await host.journal.outlived()) == ({OTHER: None}, 1)


async def test_after_a_crash_between_host_and_journal_it_is_carried_out_once(host: AHost) -> None:
    """`new` comes from the journal, though the host has it already; and it is said once."""
    await host.take(host.add(timeout=60.0))
    host.journal.deadly = True
    await killed(host.turns)
    assert host.in_force() == {ATTACKER: 60.0}
    host.clock.pass_(10.0)
    await host.restart()
    assert host.answers() == [("applied", "new")]
    assert host.in_force() == {ATTACKER: 50.0}


async def test_what_a_crash_left_on_the_host_and_was_lifted_since_is_taken_off(host: AHost) -> None:
    """The journal never had it in force, the host has: the delete that came meanwhile ends it there too."""
    await host.take(host.add(timeout=None))
    host.journal.deadly = True
    await killed(host.turns)
    await host.take(host.delete("d1", "o1"))
    await host.restart()
    assert host.in_force() == {}
    assert host.answers() == [("lifted", "lifted before it was carried out")]


async def test_a_delete_that_comes_while_its_add_is_carried_out_ends_it_next(host: AHost) -> None:
    """It was applied, is answered so, and is lifted in the next turn."""
    await host.take(host.add(timeout=None))
    host.journal.meanwhile = lambda: host.take(host.delete("d1", "o1"))
    await host.turns()
    assert host.answers() == [("applied", "new")]
    assert host.ends() == [("lifted", "reverted")]
    assert host.answers("d1") == [("lifted", "")]
    assert host.in_force() == {}


async def test_a_taken_order_whose_end_has_passed_is_not_carried_out(host: AHost) -> None:
    """It was taken in time, and the agent was away until it was over."""
    await host.take(host.add(timeout=60.0))
    host.clock.pass_(60.0)
    await host.restart()
    assert host.answers() == [("stale", "its end had passed before it could be carried out")]
    assert "apply" not in dict(host.action.calls)
    assert host.ends() == []


async def test_after_a_start_reverts_that_are_due_go_first(host: AHost) -> None:
    """Then what should be in force is applied for the time left, and nobody is told a second time."""
    await host.do(host.add("o1", timeout=60.0), host.add("o2", OTHER, timeout=600.0))
    host.action.calls.clear()
    host.close()
    host.clock.pass_(100.0)
    host.action.flush()
    host._open()
    await host.executor.start()
    assert host.action.calls == [("revert", (ATTACKER,)), ("apply", (OTHER,))]
    assert host.in_force() == {OTHER: 500.0}
    assert max(host.counts().values()) == 1


async def test_a_stepped_clock_neither_lengthens_nor_ends_a_block(host: AHost) -> None:
    """What is left counts on the boot clock."""
    await host.do(host.add(timeout=60.0))
    host.clock.wall_at += 3_600.0
    await host.turns()
    assert host.in_force() == {ATTACKER: 60.0}
    host.clock.wall_at -= 7_200.0
    await host.after(60.0)
    assert host.ends() == [("timeout", "reverted")]


async def test_after_a_reboot_the_wall_clock_decides(host: AHost) -> None:
    """The time that the host was away counts, and a clock that came up too early costs no time."""
    await host.do(host.add(timeout=600.0))
    await host.reboot(away=100.0)
    assert host.in_force() == {ATTACKER: 500.0}
    host.clock.wall_at -= 86_400.0
    await host.reboot(away=50.0)
    assert host.in_force() == {ATTACKER: 500.0}


async def test_a_clock_that_comes_up_early_ends_nothing_at_the_boot_after(host: AHost) -> None:
    """A host without a clock of its own goes down again before the network has set it: no day has passed by that."""
    await host.do(host.add(timeout=600.0))
    host.clock.wall_at -= 86_400.0
    await host.reboot(away=5.0)
    await host.after(10.0)
    await host.restart()
    await host.journal.tidy()
    host.clock.wall_at += 86_400.0
    await host.reboot(away=5.0)
    assert host.in_force() == {ATTACKER: pytest.approx(600.0 - 5.0 - 10.0 - 5.0)}


async def test_many_small_extensions_are_an_extension(host: AHost) -> None:
    """None of them moves the end by as much as the kernel can tell; together they do."""
    await host.do(host.add("o0", timeout=60.0))
    for number in range(1, 101):
        await host.do(host.add(f"o{number}", timeout=60.0 + number * 0.0006))
    assert host.in_force()[ATTACKER] == pytest.approx(60.06, abs=0.001)


async def test_a_turn_has_a_limit_for_ends_and_one_for_orders(host: AHost) -> None:
    """Neither waits behind a flood of the other: both get their share of each turn."""
    host.executor._limit = 2
    await host.do(*(host.add(f"o{n}", f"203.0.113.{n}", timeout=60.0) for n in range(1, 6)))
    host.clock.pass_(60.0)
    await host.take(*(host.add(f"p{n}", f"198.51.100.{n}") for n in range(1, 6)))
    await host.executor.turn()
    assert len([each for each in host.said() if isinstance(each, Expiry)]) == 2
    assert set(host.in_force()) == {"198.51.100.1", "198.51.100.2"}
    await host.turns()
    assert len(host.in_force()) == 5


async def test_a_delete_is_answered_by_what_it_ended_however_many_came_with_it(host: AHost) -> None:
    """Its ends may be told in an earlier turn, and are never left for a later one: `failed` if one of them failed."""
    host.executor._limit = 2
    numbers = range(1, 9)
    await host.do(*(host.add(f"o{n}", f"203.0.113.{n}", timeout=600.0 - n) for n in numbers))
    host.action.failing["203.0.113.8"] = "busy"
    await host.do(*(host.delete(f"d{n}", f"o{n}") for n in numbers))
    answers = [answer for n in numbers for answer in host.answers(f"d{n}")]
    assert answers == [("lifted", "")] * 7 + [("failed", "busy")]
    order = [each.order_id for each in host.said() if each.order_id[1:] == "1"]
    assert order == ["o1", "o1", "d1"]


async def test_a_person_lifts_what_is_in_force_and_what_is_about_to_be(host: AHost) -> None:
    """It returns when it is done; other targets stay; a repeat of a lifted order brings nothing back."""
    waiting = host.add("o2", timeout=None)
    await host.do(host.add("o1"), host.add("o3", OTHER))
    await host.take(waiting)
    lifted = await host.executor.lift(lambda hold: hold.target == ATTACKER)
    assert {each.order_id for each in lifted.orders} == {"o1", "o2"}
    assert lifted.problems == {}
    await host.do(waiting, host.add("o1"))
    assert set(host.in_force()) == {OTHER}
    assert set(host.ends("o1")) == {("lifted", "reverted")}


async def test_a_lift_that_fails_says_why(host: AHost) -> None:
    """The person is told the program's words."""
    await host.do(host.add())
    host.action.failing[ATTACKER] = "busy"
    assert (await host.executor.lift(lambda hold: True)).problems == {(host.action.name, ATTACKER): "busy"}


async def test_the_fingerprint_is_of_holders_that_have_more_than_a_minute_left(host: AHost) -> None:
    """Every order that was applied or unchanged counts, by the order's own end, as the ledger counts it."""
    await host.do(host.add("o1", timeout=600.0), host.add("o2", timeout=90.0), host.add("o3", OTHER, timeout=60.0))
    await host.do(host.add("o4", OTHER, timeout=None))
    holds = await host.journal.holds(host.clock.wall())
    assert (holds.count, holds.xor) == (3, fingerprint(["o1", "o2", "o4"]))
    holds = await host.journal.holds(host.clock.wall() + 30.0)
    assert (holds.count, holds.xor) == (2, fingerprint(["o1", "o4"]))


async def test_ids_are_kept_a_day_past_their_deadline_and_while_in_force(host: AHost) -> None:
    """Then they are forgotten; what is in force never is."""
    first = host.add("o1", timeout=60.0)
    await host.do(first, host.add("o2", OTHER, timeout=None), host.delete("d1", "gone"))
    await host.after(86_400.0)
    await host.journal.tidy()
    assert (await host.take(first)).repeated == 1
    await host.after(61.0)
    await host.journal.tidy()
    assert (await host.take(replace(first, timeout=None, expires_at=None, deadline=host.clock.wall()))).fresh == 1
    await host.after(40 * 86_400.0)
    await host.journal.tidy()
    assert (await host.take(host.add("o2", OTHER, timeout=None))).repeated == 1
    await host.do(host.add("gone"))
    assert host.answers("gone") == [("unchanged", "")]


async def test_an_id_that_is_sent_again_with_a_later_deadline_is_kept_for_that(host: AHost) -> None:
    """Deadlines of deletes are restamped when they are sent again."""
    delete = host.delete("d1", "o1")
    await host.do(delete)
    await host.after(20 * 86_400.0)
    later = replace(delete, deadline=delete.deadline + 20 * 86_400.0)
    await host.do(later)
    await host.after(15 * 86_400.0)
    await host.journal.tidy()
    assert (await host.take(later)).repeated == 1


async def test_a_journal_that_is_full_loses_nothing_and_blocks_end_all_the_same(host: AHost) -> None:
    """What can't be written down is not answered; when there is room it is, once."""
    await host.do(host.add("o1", timeout=60.0))
    pages = host.store.run_now(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    host.store.run_now(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    with pytest.raises(StoreError, match="full"):
        await host.take(*(host.add(f"p{n}", f"198.51.100.{n}", reason="x" * 400) for n in range(1, 200)))
    host.clock.pass_(60.0)
    with suppress(StoreError):
        await host.turns()
    assert host.in_force() == {}
    host.store.run_now(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchone())
    await host.turns()
    assert host.ends("o1") == [("timeout", "reverted")]


@pytest.mark.parametrize(("action", "counted"), [("mine", 0), ("firewall-drop", 1)])
async def test_what_managers_know_as_a_one_shot_is_held_and_not_counted(
    tmp_path: Path, action: str, counted: int
) -> None:
    """Of an action that others bring, without a time: else no fingerprint of this agent would ever be right again."""
    host = AHost(tmp_path, lambda clock: FakeAction(clock, action))
    await host.do(host.add(action=action, timeout=None, deadline=host.clock.wall() + 60.0))
    await host.after(600.0)
    assert host.in_force() == {ATTACKER: None}
    assert (await host.journal.holds(host.clock.wall())).count == counted
    host.close()


async def test_the_journals_id_is_the_files(host: AHost, tmp_path: Path) -> None:
    """It outlives the process, and another file has another."""
    before = host.journal.id
    await host.restart()
    assert host.journal.id == before
    (tmp_path / "other").mkdir()
    other = AHost(tmp_path / "other")
    assert other.journal.id != before
    other.close()
