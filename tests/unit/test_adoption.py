"""A journal that is lost or put back takes no block off the host, and doubles none."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.journal.times import Now
from agent.journal.views import effects
from agent.watch import GRACE, LOOK
from shared.ids import fingerprint
from tests.unit.a_host import ATTACKER, AHost

OTHER, THIRD = "203.0.113.10", "203.0.113.11"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[AHost]:
    """Two blocks in force, by orders of which no journal knows any more."""
    one = AHost(tmp_path)
    await one.do(one.add("o1", timeout=600.0), one.add("o2", OTHER, timeout=None))
    one.close()
    one.path.unlink()
    one._open()
    await one.executor.start()
    yield one
    one.close()


async def caught_up(host: AHost, *orders: object) -> None:
    """What a manager sends, with the policy behind it, in one batch."""
    await host.take(*orders)
    await host.journal.release()
    await host.turns()


async def test_a_new_journal_holds_what_it_finds_with_the_time_left(host: AHost) -> None:
    """No answer, no expiry event, not in the fingerprint; and the kernel isn't touched."""
    assert host.action.calls[-1][0] == "apply"
    assert host.in_force() == {ATTACKER: 600.0, OTHER: None}
    await host.after(300.0)
    await host.restart()
    assert host.in_force() == {ATTACKER: 300.0, OTHER: None}
    await host.after(300.0)
    assert host.in_force() == {OTHER: None}
    assert host.said() == []
    assert (await host.journal.holds(host.clock.wall())).count == 0


async def test_an_adopted_effect_that_somebody_flushes_is_put_back(host: AHost) -> None:
    """It is in the journal like any other."""
    host.action.flush()
    await host.after(LOOK)
    assert host.in_force() == {ATTACKER: 600.0 - LOOK, OTHER: None}


async def test_an_order_that_comes_again_is_applied_new(host: AHost) -> None:
    """What a crash left in the kernel decides no answer; the fingerprint is right at once."""
    order = host.add("o1", timeout=600.0)
    await host.do(order)
    assert host.answers("o1") == [("applied", "new")]
    holds = await host.journal.holds(host.clock.wall())
    assert (holds.count, holds.xor) == (1, fingerprint(["o1"]))
    assert (await host.take(order)).repeated == 1


async def test_once_caught_up_what_orders_took_over_stays_and_the_rest_goes(host: AHost) -> None:
    """Without a moment in which the block isn't there, however the orders and the word for it arrive."""
    host.action.calls.clear()
    await caught_up(host, host.add("o1", timeout=60.0), host.add("o3", THIRD))
    assert host.in_force() == {ATTACKER: 60.0, THIRD: 600.0}
    assert ("revert", (OTHER,)) in host.action.calls
    assert [call for call in host.action.calls if ATTACKER in call[1] and call[0] == "revert"] == []
    await host.after(60.0)
    assert host.ends("o1") == [("timeout", "reverted")]
    assert {each.order_id for each in host.said()} == {"o1", "o3"}


async def test_an_order_that_waits_for_its_turn_has_its_effect_all_the_time(host: AHost) -> None:
    """The release comes in the first turn and the order that takes the effect over in the last of many."""
    host.executor._limit = 1
    host.action.calls.clear()
    await caught_up(host, *(host.add(f"p{n}", f"198.51.100.{n}") for n in range(1, 4)), host.add("o1"))
    assert not [keys for call, keys in host.action.calls if call == "revert" and ATTACKER in keys]
    assert host.in_force()[ATTACKER] == 600.0
    assert OTHER not in host.in_force()


async def test_a_shorter_order_does_not_end_what_is_adopted_before_the_word_for_it(host: AHost) -> None:
    """Until then somebody else's order may be on its way that holds it longer."""
    await host.do(host.add("o1", timeout=60.0))
    assert host.in_force()[ATTACKER] == 600.0
    await host.after(60.0)
    assert host.ends("o1") == [("timeout", "kept")]
    assert host.in_force()[ATTACKER] == 540.0
    await host.journal.release()
    await host.turns()
    assert host.in_force() == {}


async def test_a_delete_ends_the_orders_that_it_names_and_not_what_is_adopted(host: AHost) -> None:
    """The lifts of a catch-up come before its adds; what it doesn't bring goes at its end."""
    await host.do(host.delete("d1", "o1"))
    assert set(host.in_force()) == {ATTACKER, OTHER}
    assert host.answers("d1") == [("lifted", "adopted: held until all that is in force has been sent")]
    await caught_up(host, host.add("o1"), host.add("o4"))
    assert host.answers("o1") == [("lifted", "lifted before it came")]
    assert host.in_force() == {ATTACKER: 600.0}


async def test_what_is_adopted_is_shown_and_lifted_as_such(host: AHost) -> None:
    """A person on the host sees it and can end it; there is nobody to tell."""
    shown = effects(host.path, host.boot_id, Now.by(host.clock))
    assert {(each.target, each.adopted, each.orders) for each in shown} == {(ATTACKER, True, ()), (OTHER, True, ())}
    done = await host.executor.lift(lambda hold: hold.target == OTHER)
    assert [(each.target, each.adopted) for each in done.orders] == [(OTHER, True)]
    assert set(host.in_force()) == {ATTACKER}
    host.action.failing[ATTACKER] = "busy"
    assert (await host.executor.lift(lambda hold: True)).problems == {
        ("firewall-drop", ATTACKER): "it is to be reverted still"
    }
    assert host.said() == []


async def test_a_lift_adopts_first_where_no_daemon_has(host: AHost) -> None:
    """`lift --all` is the way out also when the journal is gone."""
    host.close()
    host.path.unlink()
    host._open()
    assert {each.target for each in (await host.executor.lift(lambda hold: True)).orders} == {ATTACKER, OTHER}
    assert host.in_force() == {}


async def test_a_host_that_cannot_be_looked_at_yet_is_adopted_later(host: AHost) -> None:
    """Nothing is taken for a stranger before that."""
    host.close()
    host.path.unlink()
    host._open()
    host.action.missing = "the kernel doesn't answer"
    await host.executor.start()
    await host.after(LOOK)
    host.action.missing = ""
    await host.after(LOOK)
    assert set(host.in_force()) == {ATTACKER, OTHER}
    assert len(effects(host.path, host.boot_id, Now.by(host.clock))) == 2


async def test_after_a_reboot_there_is_nothing_to_adopt_and_what_was_is_kept(host: AHost) -> None:
    """It is applied again, for the time that is left by the wall clock."""
    await host.reboot(away=100.0)
    assert host.in_force() == {ATTACKER: 500.0, OTHER: None}


async def test_a_journal_from_an_older_copy_loses_nothing_for_good(tmp_path: Path) -> None:
    """What it forgot is held until it is sent again; what it believes and is over is lifted by the lifts sent again."""
    host = AHost(tmp_path)
    ended, stays = host.add("o1", timeout=None), host.add("o2", OTHER, timeout=600.0)
    await host.do(ended, stays)
    await host.journal.release()
    host.store.run_now(lambda connection: None)
    host.close()
    shutil.copy(host.path, tmp_path / "older.db")
    host._open()
    await host.executor.start()
    delete, forgotten = host.delete("d1", "o1"), host.add("o3", THIRD, timeout=600.0)
    await host.do(delete, forgotten)
    assert set(host.in_force()) == {OTHER, THIRD}
    host.close()
    shutil.copy(tmp_path / "older.db", host.path)
    host.clock.pass_(10.0)
    host._open()
    await host.executor.start()
    assert host.in_force() == {ATTACKER: None, OTHER: 590.0, THIRD: 590.0}
    holds = await host.journal.holds(host.clock.wall())
    assert holds.xor != fingerprint(["o2", "o3"]), "the manager sees that something is wrong"
    await caught_up(host, delete, stays, forgotten)
    assert host.in_force() == {OTHER: 590.0, THIRD: 590.0}
    assert host.answers("o3") == [("applied", "new")]
    assert host.ends("o1") == [("lifted", "reverted")]
    assert (await host.journal.holds(host.clock.wall())).xor == fingerprint(["o2", "o3"])
    await host.after(590.0)
    assert host.in_force() == {}
    assert [host.ends(each) for each in ("o2", "o3")] == [[("timeout", "reverted")]] * 2
    host.close()


async def test_an_older_copy_without_a_manager_lets_strangers_go_after_a_while(tmp_path: Path) -> None:
    """Whose fingerprint is right is sent nothing, so that the agent itself has to end what nobody holds."""
    host = AHost(tmp_path)
    await host.do(host.add("o1"))
    await host.journal.release()
    host.action.tamper({ATTACKER: 600.0, OTHER: None})
    with capture_logs() as logs:
        await host.restart()
    assert [each["count"] for each in logs if each.get("action") == "adopted"] == [1]
    await host.restart()
    await host.after(GRACE)
    assert host.in_force() == {ATTACKER: 600.0 - GRACE}
    host.close()
