"""Scripts in Wazuh 4's protocol, each a real one: what they are told, what is answered, whatever they do."""

import os
import signal
import subprocess
import tracemalloc
from asyncio import create_task
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent import errands
from agent.actions.scripts.scripts import Scripts
from agent.actions.tools.process import WORDS, Limits, Programs
from agent.journal import errands as journal_errands
from agent.journal import planning
from shared.errors import ActionError, StoreError
from shared.ids import fingerprint
from shared.store import Connection
from tests.unit.a_host import ATTACKER, killed
from tests.unit.a_script_host import ALERT, PROTECTED, PYTHON, WORKERS, ScriptHost
from tests.waiting import eventually

NOTES_ALL = 'read -r line; echo "$line" >> said\n'
ASKS = "note_and = heard()\nif note_and == 'add':\n    ask()\n    heard()\n"
HANGS = "read -r line; echo $$ > pid; sleep 60 & echo $! > child; wait\n"
OTHER = "203.0.113.10"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ScriptHost]:
    one = ScriptHost(tmp_path, Limits(whole=10.0, grace=5.0))
    yield one
    one.close()


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[ScriptHost]:
    """A host with little patience."""
    one = ScriptHost(tmp_path, Limits(whole=0.8, grace=0.2))
    yield one
    one.close()


async def test_one_that_never_speaks_gets_its_delete_at_the_end(host: ScriptHost) -> None:
    """An order with a timeout: `add`, and after that time `delete`, with the same arguments and the same alert."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order("note.sh", timeout=60.0, arguments=("-v",)))
    assert (host.answer().status, host.answer().detail, host.answer().exit_code) == ("applied", "new", 0)
    await host.errands_after(60.0)
    add, delete = host.said_to()
    assert delete == {**add, "command": "delete"}
    assert add == {
        "version": 1,
        "origin": {"name": "web1", "module": "wazuh-execd"},
        "command": "add",
        "parameters": {"extra_args": ["-v"], "alert": ALERT, "program": "active-response/bin/note.sh"},
    }
    assert host.ends() == [("timeout", "reverted")]


async def test_one_that_asks_is_told_to_continue(host: ScriptHost) -> None:
    """The handshake of Wazuh's stateful scripts: the first message comes again with another command."""
    host.script("ask.py", ASKS, PYTHON)
    await host.carry_out(host.order("ask.py", timeout=60.0))
    add, answer = host.said_to()
    assert answer == {**add, "command": "continue"}
    assert host.answers() == [("applied", "new")]


async def test_one_shots_are_done_once_and_hold_nothing(host: ScriptHost) -> None:
    """Each order is; a repeat of its id isn't."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order("note.sh"), host.order("note.sh", "o2"))
    await host.carry_out(host.order("note.sh"))
    assert host.commands() == ["add", "add"]
    assert host.answers("o2") == [("applied", "done")]
    assert (await host.journal.holds(host.clock.wall())).count == 0
    await host.errands_after(1_000.0)
    assert host.commands() == ["add", "add"]
    assert host.ends() == []


async def test_one_that_asks_without_a_timeout_is_held_until_it_is_lifted(host: ScriptHost) -> None:
    """The next one is told to abort, and a lift on the host says `delete`. No fingerprint counts it: to managers it is
    a one-shot.
    """
    host.script("ask.py", ASKS, PYTHON)
    await host.carry_out(host.order("ask.py"))
    await host.carry_out(host.order("ask.py", "o2"))
    assert host.commands() == ["add", "continue", "add", "abort"]
    assert host.answers("o1") == [("applied", "new")]
    assert host.answers("o2") == [("unchanged", "in force already")]
    assert (await host.journal.holds(host.clock.wall())).xor == fingerprint([])
    await host.journal.lift(lambda hold: hold.target == ATTACKER)
    await host.errands()
    assert host.commands()[-1] == "delete"
    assert host.ends() == [("lifted", "reverted")]


async def test_a_longer_order_moves_the_end_and_bothers_no_script(host: ScriptHost) -> None:
    """It is in force already; the script is told `delete` once, at the later end."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order("note.sh", timeout=60.0), host.order("note.sh", "o2", timeout=600.0))
    assert host.answers("o2") == [("applied", "extended")]
    await host.errands_after(60.0)
    assert host.commands() == ["add"]
    await host.errands_after(540.0)
    assert host.commands() == ["add", "delete"]
    assert (host.ends("o1"), host.ends("o2")) == ([("timeout", "kept")], [("timeout", "reverted")])


async def test_one_that_fails_is_answered_with_its_code_and_words(host: ScriptHost) -> None:
    """The end of standard error, in one line that does nothing to a terminal."""
    host.script("fail.sh", "printf 'first\\n\\033[31mno such table\\n' >&2; exit 3\n")
    await host.carry_out(host.order("fail.sh"))
    answer = host.answer()
    assert (answer.status, answer.exit_code) == ("failed", 3)
    assert answer.detail == "exit code 3: first | ?[31mno such table"


async def test_one_that_hangs_is_killed_with_its_children(strict: ScriptHost) -> None:
    """After its time limit, and its order has failed."""
    strict.script("hang.sh", HANGS)
    await strict.carry_out(strict.order("hang.sh"))
    assert strict.answers() == [("failed", "killed: it had not ended within its time limit")]
    await eventually(lambda: not (strict.lives("pid") or strict.lives("child")))


async def test_one_that_hangs_delays_nothing_else(host: ScriptHost) -> None:
    """Neither the firewall's turns nor their ends, nor another script; what is about its own target waits."""
    host.script("hang.sh", HANGS)
    host.script("note.sh", NOTES_ALL)
    await host.take(host.order("hang.sh"), host.order("hang.sh", "next", timeout=60.0))
    await host.executor.errands.begin()
    await host.do(host.add("block", OTHER, timeout=5.0))
    assert host.answers("block") == [("applied", "new")]
    await host.take(host.order("note.sh", "other"))
    await host.executor.errands.begin()
    await eventually(lambda: host.answers("other") == [("applied", "done")])
    await host.after(5.0)
    assert host.ends("block") == [("timeout", "reverted")]
    assert host.answers("o1") == host.answers("next") == []


async def test_a_flood_for_one_that_hangs_holds_up_no_other(host: ScriptHost) -> None:
    """Orders that wait for a worker aren't in anybody's way, however many were there before."""
    host.script("hang.sh", HANGS)
    host.script("note.sh", NOTES_ALL)
    await host.take(*(host.order("hang.sh", f"h{number}", target=f"10.0.{number}.1") for number in range(50)))
    host.executor._limit = 20
    await host.executor.errands.begin()
    assert host.executor.errands.out == WORKERS
    await host.take(host.order("note.sh", "other"))
    await host.executor.errands.begin()
    await eventually(lambda: host.answers("other") == [("applied", "done")])
    await host.do(host.add("block", OTHER, timeout=5.0))
    assert host.answers("block") == [("applied", "new")]


async def test_a_lift_waits_for_what_is_under_way(host: ScriptHost) -> None:
    """`delete` comes after `add`, however long that takes, and its answer after both."""
    host.script("slow.sh", NOTES_ALL + "case $line in *add*) while [ ! -e go ]; do sleep 0.01; done;; esac\n")
    await host.take(host.order("slow.sh", timeout=60.0))
    await host.executor.errands.begin()
    await host.take(host.delete("d1", "o1", action="slow.sh"))
    await host.turns()
    await host.executor.errands.begin()
    assert host.answers("d1") == []
    (host.notes / "go").touch()
    await host.errands()
    assert host.commands() == ["add", "delete"]
    assert host.answers("o1") == [("applied", "new")]
    assert host.ends("o1") == [("lifted", "reverted")]
    assert host.answers("d1") == [("lifted", "")]


async def test_a_clock_that_is_set_back_makes_no_success_of_a_failure(host: ScriptHost) -> None:
    """While the script of a lift runs: what it ended is told by what passed since, not by what the clock shows."""
    host.script("slow.sh", "read -r line; case $line in *delete*) exit 1;; esac\n")
    await host.carry_out(host.order("slow.sh", timeout=600.0))
    await host.take(host.delete("d1", "o1", action="slow.sh"))
    host.clock.wall_at -= 40.0
    await host.errands()
    assert host.ends("o1") == [("lifted", "failed")]
    assert host.answers("d1") == [("failed", "exit code 1")]


async def test_a_lift_of_what_could_not_be_ended_is_told_that_it_is_owed(host: ScriptHost) -> None:
    """A second unblock of the same doesn't hear that nothing is in force while its `delete` is tried again."""
    host.script("slow.sh", "read -r line; case $line in *delete*) exit 1;; esac\n")
    await host.carry_out(host.order("slow.sh", timeout=600.0))
    await host.carry_out(host.delete("d1", "o1", action="slow.sh"))
    host.clock.pass_(1.0)
    await host.carry_out(host.delete("d2", "o1", action="slow.sh"))
    assert host.answers("d1") == [("failed", "exit code 1")]
    assert host.answers("d2") == [("failed", "it could not be ended yet, and is tried again")]


async def test_a_lift_by_hand_waits_for_the_script(host: ScriptHost) -> None:
    """`thwart-agent lift` returns when the script has been told, and has ended."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order("note.sh", timeout=60.0))
    running = create_task(host.executor.errands.run())
    lifted = await host.executor.lift(lambda hold: hold.target == ATTACKER)
    running.cancel()
    assert [each.order_id for each in lifted.orders] == ["o1"]
    assert host.commands() == ["add", "delete"]


async def test_one_that_is_lifted_before_it_is_started_is_not(host: ScriptHost) -> None:
    """No `add`, and no `delete` for what never was."""
    host.script("note.sh", NOTES_ALL)
    await host.take(host.order("note.sh", timeout=60.0), host.delete("d1", "o1", action="note.sh"))
    await host.errands()
    assert host.said_to() == []
    assert host.answers("o1") == [("lifted", "lifted before it was carried out")]
    assert host.answers("d1") == [("lifted", "not in force")]


@pytest.mark.parametrize(
    "text",
    [
        "head -c 8000000 /dev/zero; head -c 8000000 /dev/zero >&2; cat /dev/null\n",
        "yes & exit 0\n",
        "sleep 60 & echo $! > child; exit 0\n",
        "exec <&- >&- 2>&-; exit 0\n",
        "exit 0\n",
        'echo \'{"command": "check_keys"}\'; exit 0\n',
        "echo '{'; echo '[]'; echo '{\"command\": 7}'; echo nonsense\n",
        'echo \'{"command": "check_keys"}\'; echo \'{"command": "check_keys"}\'; exit 0\n',
    ],
    ids=["megabytes", "prints and stays", "forks and stays", "closes all", "at once", "asks and goes", "lies", "twice"],
)
async def test_whatever_it_does_it_holds_nobody_up(host: ScriptHost, text: str) -> None:
    """Its exit status counts, and as soon as it has ended; what it left running in its group is killed."""
    host.script("ugly.sh", text)
    large = {**ALERT, "full_log": "x" * 100_000}
    await host.carry_out(host.order("ugly.sh", timeout=60.0, alert=large))
    assert host.answers() == [("applied", "new")]
    if "child" in text:
        await eventually(lambda: not host.lives("child"))


async def test_its_last_words_are_few(host: ScriptHost) -> None:
    """They go into the journal, into an answer and into every listing."""
    host.script("chatty.sh", "head -c 4000 /dev/zero | tr '\\0' x; exit 1\n")
    await host.carry_out(host.order("chatty.sh"))
    assert host.answer().detail == "exit code 1: " + "x" * WORDS


def test_nothing_is_started_after_the_stop() -> None:
    """Also what had been planned before it: an agent that ends waits for nobody new."""
    programs = Programs({}, Limits())
    programs.stop()
    with pytest.raises(ActionError, match="the agent is stopping"):
        programs.run(["/bin/true"], b"")


async def test_what_it_prints_is_not_kept(host: ScriptHost) -> None:
    """Of a hundred megabytes only the end."""
    host.script("print.sh", "head -c 100000000 /dev/zero; echo the end; exit 1\n")
    tracemalloc.start()
    await host.carry_out(host.order("print.sh"))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert host.answer().detail.endswith("the end")
    assert most < 4_000_000


@pytest.mark.parametrize("alert", [{"data": {b"bytes": 1}}, {"data": {"deep": [[[b"\xff"]]]}}], ids=["key", "bytes"])
async def test_an_alert_that_is_no_json_stops_nothing(host: ScriptHost, alert: dict) -> None:
    """Whoever may send an order may put anything there; it is carried out, or has failed and says so."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order("note.sh", alert=alert, target=""), host.order("note.sh", "o2"))
    assert host.answer().status in ("applied", "failed")
    assert host.answers("o2") == [("applied", "done")]


async def test_one_that_reads_to_the_end_gets_it(strict: ScriptHost) -> None:
    """Standard input is closed after a grace period; to `delete`, which has no handshake, at once."""
    strict.script("cat.sh", "cat >> said\n")
    await strict.carry_out(strict.order("cat.sh", timeout=60.0))
    assert strict.answers() == [("applied", "new")]
    await strict.errands_after(60.0)
    assert strict.commands() == ["add", "delete"]


async def test_one_that_asks_late_is_answered(host: ScriptHost) -> None:
    """A slow start is no reason not to be told."""
    waits = "heard()\nopen('began', 'w').close()\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n"
    host.script("late.py", f"{waits}ask()\nheard()\n", PYTHON)
    running = create_task(host.carry_out(host.order("late.py", timeout=60.0)))
    await eventually((host.notes / "began").exists)
    (host.notes / "go").touch()
    await running
    assert host.commands() == ["add", "continue"]


def test_what_it_says_bit_by_bit_is_looked_at_once(tmp_path: Path) -> None:
    """Lines come in pieces, and a talkative script doesn't have all that it said before read again with each."""
    talks = tmp_path / "talks.sh"
    talks.write_text("#!/bin/sh\nfor each in 1 2 3; do printf one; sleep 0.02; echo ' line'; sleep 0.02; done\n")
    talks.chmod(0o755)
    heard: list[bytes] = []
    Programs({}, Limits()).run([str(talks)], b"add\n", heard.append)
    assert heard == [b"one line"] * 3


async def test_one_that_asks_too_late_finds_the_end(strict: ScriptHost) -> None:
    """It is told nothing, and its own word counts."""
    strict.script("late.py", "heard()\nsys.stdin.read()\nask()\nsys.exit('told ' + heard())\n", PYTHON)
    await strict.carry_out(strict.order("late.py", timeout=60.0))
    assert strict.answer().detail == "exit code 1: told nothing"


async def test_killed_in_the_middle_a_lasting_one_is_done_again(host: ScriptHost) -> None:
    """What lasts may be done twice and is in force once; it is answered once."""
    host.script("note.sh", NOTES_ALL)
    await host.take(host.order("note.sh", timeout=60.0))
    host.journal.deadly = True
    await killed(host.errands)
    await host.restart()
    await host.errands()
    assert host.commands() == ["add", "add"]
    assert host.answers() == [("applied", "new")]
    await host.errands_after(60.0)
    assert host.commands() == ["add", "add", "delete"]


async def test_killed_in_the_middle_a_one_shot_is_not_repeated(host: ScriptHost) -> None:
    """At most once: nobody can tell how far it came, and the answer says so."""
    host.script("note.sh", NOTES_ALL)
    await host.take(host.order("note.sh"), host.order("note.sh", "o2", target=OTHER), host.order("note.sh", "o3"))
    host.journal.deadly = True
    await killed(host.errands)
    await host.restart()
    await host.errands()
    assert host.commands() == ["add", "add", "add"], "o3 had to wait for o1"
    for each in ("o1", "o2"):
        assert host.answers(each) == [
            ("failed", "interrupted: the agent was killed while it ran, and it is not run twice")
        ]
    assert host.answers("o3") == [("applied", "done")]


async def test_killed_in_the_middle_and_over_since_it_is_reverted(host: ScriptHost) -> None:
    """Its `add` may have been carried out, so `delete` is said, though the order is stale."""
    host.script("note.sh", NOTES_ALL)
    await host.take(host.order("note.sh", timeout=60.0))
    host.journal.deadly = True
    await killed(host.errands)
    host.clock.pass_(100.0)
    await host.restart()
    await host.errands()
    assert host.commands() == ["add", "delete"]
    assert host.answer().status == "stale"


async def test_a_restart_bothers_no_script_and_a_reboot_does(host: ScriptHost) -> None:
    """What a script did can't be looked up: within a boot it is taken to last, after one it is done again."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order("note.sh", timeout=600.0))
    await host.restart()
    await host.errands()
    assert host.commands() == ["add"]
    await host.reboot(away=10.0)
    await host.errands()
    await host.restart()
    await host.errands()
    assert host.said_to() == [host.said_to()[0]] * 2
    await host.errands_after(600.0)
    assert host.commands() == ["add", "add", "delete"]


async def test_a_revert_that_fails_is_told_and_tried_again(host: ScriptHost) -> None:
    """The expiry has the script's words; after a rest it is told once more."""
    host.script("note.sh", NOTES_ALL + "case $line in *delete*) [ -e mended ] || { echo locked >&2; exit 4; };; esac\n")
    await host.carry_out(host.order("note.sh", timeout=60.0))
    await host.errands_after(60.0)
    assert (host.end().outcome, host.end().detail) == ("failed", "exit code 4: locked")
    (host.notes / "mended").touch()
    await host.errands_after(5.0)
    assert host.commands() == ["add", "delete"]
    await host.errands_after(6.0)
    await host.errands_after(60.0)
    assert host.commands() == ["add", "delete", "delete"]
    assert str(host.trouble) == ""


async def test_a_script_that_is_gone_says_so(host: ScriptHost) -> None:
    """Nothing waits for it."""
    path = host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order("note.sh", timeout=60.0))
    await host.take(host.order("note.sh", "o2", target=OTHER))
    path.unlink()
    await host.errands_after(60.0)
    gone = (
        "note.sh can't be carried out on this host any more: "
        "its script or package is gone, and what it has in force can't be ended before that is back"
    )
    assert host.end().detail == gone
    assert host.answers("o2") == [("failed", gone)]


async def test_its_environment_has_none_of_our_secrets(host: ScriptHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH is set, and the broker's password is nowhere."""
    monkeypatch.setenv("THWART_BROKER_URLS", "amqp://thwart:SECRET@broker/")
    host.script("env.sh", "env > environment; iptables --version > /dev/null 2>&1; pwd >> environment\n")
    await host.carry_out(host.order("env.sh"))
    found = dict(line.partition("=")[::2] for line in host.note("environment").splitlines() if "=" in line)
    assert found["PATH"].split(":")[-2:] == ["/sbin", "/bin"]
    assert "SECRET" not in host.note("environment")
    assert {each for each in found if each.startswith("THWART")} == {"THWART_STATE_DIR"}


@pytest.mark.parametrize(
    ("target", "alert", "data"),
    [
        (ATTACKER, {}, {"srcip": ATTACKER}),
        (OTHER, ALERT, {"srcip": OTHER, "srcuser": "root"}),
        ("alice", ALERT, {**ALERT["data"], "dstuser": "alice"}),
        ("", ALERT, ALERT["data"]),
        (ATTACKER, {"data": "nonsense"}, {"srcip": ATTACKER}),
    ],
)
async def test_the_target_is_where_scripts_look(host: ScriptHost, target: str, alert: dict, data: dict) -> None:
    """They act on what was checked against the allowlist, also when a person gave the order and there is no alert."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order("note.sh", target=target, alert=alert))
    assert host.said_to()[0]["parameters"]["alert"]["data"] == data


async def test_orders_without_a_target_are_not_taken_for_each_other(host: ScriptHost) -> None:
    """Each has its own alert, and its own end."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(
        host.order("note.sh", target="", timeout=60.0), host.order("note.sh", "o2", target="", timeout=90.0)
    )
    assert host.answers("o2") == [("applied", "new")]
    await host.errands_after(90.0)
    assert sorted(host.commands()) == ["add", "add", "delete", "delete"]


async def test_what_is_protected_is_refused(host: ScriptHost) -> None:
    """The allowlist holds for scripts too; an account is no address."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order("note.sh", target=PROTECTED), host.order("note.sh", "o2", target="alice"))
    assert host.answer().detail == f"protected: {PROTECTED} is protected by {PROTECTED} (ours)"
    assert host.answers("o2") == [("applied", "done")]


@pytest.mark.parametrize("target", ["a\nb", "x" * 256, "\x1b[31m"])
async def test_a_hostile_target_is_refused_by_scripts(host: ScriptHost, target: str) -> None:
    """One line that does nothing to a terminal; it only ever goes into JSON, never into a command."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order("note.sh", target=target))
    assert host.answer().detail.startswith("invalid-target: ")


@pytest.mark.root
async def test_what_others_could_have_written_is_not_started(host: ScriptHost) -> None:
    """Said in heartbeats, with what to do, and in the answer."""
    for name, mode in (("good", 0o750), ("writable", 0o777), ("plain", 0o644), ("group", 0o770), (".hidden", 0o755)):
        host.script(name, NOTES_ALL).chmod(mode)
    os.chown(host.script("foreign", NOTES_ALL), 65_534, 65_534)
    found = host.offers()
    assert found.pop("good") == ""
    words = {name: why.rpartition(": ")[2].split()[:2] for name, why in found.items()}
    assert words == {
        "writable": ["chmod", "go-w"],
        "group": ["chmod", "go-w"],
        "plain": ["chmod", "+x"],
        "foreign": ["chown", "root"],
    }
    await host.carry_out(*(host.order(name, name) for name in found))
    assert {host.answer(name).status for name in found} == {"refused"}
    assert host.answer("plain").detail.startswith("unsupported: ")
    host.scripts_folder.chmod(0o777)
    assert "chmod go-w" in host.offers()["good"]
    assert host.said_to() == []


@pytest.mark.parametrize("name", ["../scripts/note.sh", "/bin/sh", ".", "..", "nobody.sh", "a\nb"])
async def test_only_a_file_of_the_folder_is_a_script(host: ScriptHost, name: str) -> None:
    """No path, and nothing that isn't there."""
    host.script("note.sh", NOTES_ALL)
    await host.carry_out(host.order(name))
    assert host.answer().detail.startswith("unknown-action: ")


async def test_what_is_no_program_is_answered(host: ScriptHost) -> None:
    """With what to do about it."""
    host.script("headless", "echo\n", head="")
    (host.scripts_folder / "nowhere").symlink_to("gone")
    await host.carry_out(host.order("headless"), host.order("nowhere", "o2"))
    assert host.answer().detail.endswith("Exec format error; begin it with a line such as #!/bin/sh")
    assert host.answer("o2").detail.startswith("unsupported: ")


async def test_what_can_not_be_written_down_is_not_done_twice(host: ScriptHost) -> None:
    """A full disk after a one-shot: what came of it is kept and written down later."""
    host.script("note.sh", NOTES_ALL)
    failing = [StoreError("full"), StoreError("full")]
    settle = host.journal.settle

    async def sometimes(turn, outcomes):
        if failing:
            raise failing.pop()
        return await settle(turn, outcomes)

    host.journal.settle = sometimes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(errands, "PAUSE", 0.01)
        await host.carry_out(host.order("note.sh"))
    assert host.commands() == ["add"]
    assert host.answers() == [("applied", "done")]


async def test_a_stop_waits_for_a_moment_and_leaves_the_rest_to_the_next_start(host: ScriptHost) -> None:
    """What hangs is killed and not settled: the next start does it again, or answers that it was interrupted."""
    host.script("hang.sh", HANGS)
    await host.take(host.order("hang.sh"))
    await host.executor.errands.begin()
    await eventually(lambda: (host.notes / "child").exists() and host.note("child"))
    await host.executor.errands.end(0.05)
    assert host.said() == []
    await eventually(lambda: not host.lives("child"))
    await host.restart()
    await host.errands()
    assert host.answer().detail.startswith("interrupted: ")


async def test_a_stop_starts_what_it_has_marked_as_started(host: ScriptHost) -> None:
    """A stop between the two must not leave a one-shot that never ran and is answered `interrupted` later."""
    host.script("note.sh", NOTES_ALL)
    await host.take(host.order("note.sh"))
    begin, errands_of = host.journal.begin, host.executor.errands

    async def while_it_stops(**said):
        begun = await begin(**said)
        errands_of.stop()
        return begun

    host.journal.begin = while_it_stops
    await errands_of.run()
    await errands_of.end(10.0)
    assert host.answers() == [("applied", "done")]


async def test_what_fails_while_something_is_looked_for_is_tried_again(host: ScriptHost) -> None:
    """A look that began before a revert failed doesn't know of it, and must not take all for well."""
    host.script("fail.sh", NOTES_ALL + "case $line in *delete*) exit 1;; esac\n")
    await host.carry_out(host.order("fail.sh", timeout=60.0))
    host.clock.pass_(60.0)
    begin, errands_of = host.journal.begin, host.executor.errands
    await errands_of.begin()

    async def while_it_fails(**said):
        begun = await begin(**said)
        await errands_of.idle()
        return begun

    host.journal.begin = while_it_fails
    await errands_of.begin()
    host.journal.begin = begin
    await host.errands_after(errands.FIRST_REST)
    assert host.commands() == ["add", "delete", "delete"]


async def test_a_revert_that_failed_is_tried_again_by_who_asks_for_it(host: ScriptHost) -> None:
    """A person who has mended what was wrong need not wait for the rest to be over."""
    host.script("note.sh", NOTES_ALL + "case $line in *delete*) [ -e mended ] || exit 4;; esac\n")
    await host.carry_out(host.order("note.sh", timeout=60.0))
    await host.errands_after(60.0)
    (host.notes / "mended").touch()
    running = create_task(host.executor.errands.run())
    done = await host.executor.lift(lambda hold: True)
    host.executor.errands.stop()
    await running
    assert [(each.action, each.target) for each in done.orders] == [("note.sh", ATTACKER)]
    assert (host.commands(), done.problems) == (["add", "delete", "delete"], {})


async def test_who_asks_for_a_revert_that_fails_again_is_told(host: ScriptHost) -> None:
    """It is not called lifted."""
    host.script("note.sh", NOTES_ALL + "case $line in *delete*) exit 4;; esac\n")
    await host.carry_out(host.order("note.sh", timeout=60.0))
    await host.errands_after(60.0)
    running = create_task(host.executor.errands.run())
    done = await host.executor.lift(lambda hold: True)
    host.executor.errands.stop()
    await running
    assert host.commands() == ["add", "delete", "delete"]
    assert done.problems == {("note.sh", ATTACKER): "it is to be reverted still"}


async def test_who_asks_for_a_revert_that_ends_meanwhile_is_not_kept_waiting(host: ScriptHost) -> None:
    """There is nothing left to be reverted then."""
    host.script("note.sh", NOTES_ALL + "case $line in *delete*) [ -e mended ] || exit 4;; esac\n")
    await host.carry_out(host.order("note.sh", timeout=60.0))
    await host.errands_after(60.0)
    (host.notes / "mended").touch()
    host.clock.pass_(errands.FIRST_REST)
    await host.executor.errands.begin()
    asked = await host.journal.lift(lambda hold: True)
    await host.errands()
    assert await host.journal.still_held([each.order_id for each in asked]) == []
    assert host.commands() == ["add", "delete", "delete"]


async def test_a_one_shot_that_failed_is_no_trouble(host: ScriptHost) -> None:
    """Its answer says so, once; nothing is owed, so heartbeats don't say it for ever and nothing is looked for."""
    host.script("fail.sh", "exit 1\n")
    await host.carry_out(host.order("fail.sh"))
    await host.errands_after(errands.LONGEST_REST)
    assert host.answer().status == "failed"
    assert str(host.trouble) == ""
    assert host.executor.errands._patience() is None


async def test_a_look_reads_no_further_than_there_is_room(host: ScriptHost) -> None:
    """Of two thousand that wait the first few: each that ends leads to another look."""
    host.script("note.sh", NOTES_ALL)
    steps: list[int] = []
    for batch in range(0, 2_000, 500):
        some = range(batch, batch + 500)
        await host.take(*(host.order("note.sh", f"o{number}", target=f"10.0.0.{number}") for number in some))

    def counted(connection: Connection) -> int:
        steps.clear()
        connection.set_progress_handler(lambda: steps.append(1) and None, 100)
        journal_errands.begin(connection, host.journal.now(), busy=[], limit=WORKERS, at_once=lambda name: 1, owed=None)
        connection.set_progress_handler(None, 0)
        return len(steps)

    assert host.store.run_now(counted) < 50


async def test_a_look_asks_once_how_many_each_takes(host: ScriptHost) -> None:
    """The answer is read from files, while the journal is held."""
    asked: list[str] = []

    def at_once(name: str) -> int:
        asked.append(name)
        return 10

    def look(connection: Connection) -> None:
        journal_errands.begin(connection, host.journal.now(), busy=[], limit=WORKERS, at_once=at_once, owed=None)

    host.script("note.sh", NOTES_ALL)
    await host.take(*(host.order("note.sh", f"o{number}") for number in range(3)))
    host.store.run_now(look)
    assert asked == ["note.sh"]


async def test_what_an_earlier_run_left_is_killed(host: ScriptHost) -> None:
    """An agent that was killed left a script at work: it is not at work beside the next one. What the script had
    started on purpose, a service, has inherited its environment and stays.
    """
    left = _left_by_an_agent(host, str(host.script("hang.sh", HANGS)))
    service = _left_by_an_agent(host, "/bin/sleep", "60")
    stranger = _left_by_an_agent(host, str(host.scripts_folder / "hang.sh"), of="/elsewhere")
    try:
        await eventually(lambda: left.poll() is not None or host.scripts.kill_left_over())
        assert left.wait(5) == -signal.SIGKILL
        assert service.poll() is stranger.poll() is None
    finally:
        for each in (service, stranger):
            os.killpg(each.pid, signal.SIGKILL)
            each.wait()


@pytest.mark.parametrize("folder", [False, True])
def test_a_path_that_cannot_be_looked_at_silences_nobody(host: ScriptHost, folder: bool) -> None:
    """The agent starts, and its heartbeats tell what is wrong with that path as with any other."""
    unreadable = "x" * 300  # for root there is no better one
    if folder:
        scripts = Scripts(replace(host.settings, scripts=unreadable), "web1")
        assert (scripts.kill_left_over(), list(scripts.look())) == (0, [])
    else:
        (host.scripts_folder / "far.sh").symlink_to(unreadable)
        host.script("note.sh", NOTES_ALL)
        found = host.offers()
        assert (list(found), found["note.sh"]) == (["far.sh", "note.sh"], "")
        assert "File name too long" in found["far.sh"]


def _left_by_an_agent(host: ScriptHost, *command: str, of: str = "") -> "subprocess.Popen[bytes]":
    environment = {"PATH": "/bin:/usr/bin", "THWART_STATE_DIR": of or str(Path(host.settings.state_dir).resolve())}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)


@pytest.mark.parametrize("query", [planning._ENDED, journal_errands._ENDED], ids=["turns", "errands"])
def test_what_is_over_is_found_without_reading_all_that_is_in_force(host: ScriptHost, query: str) -> None:
    """Each turn asks; of a hundred thousand effects one is over."""
    numbers = (1.0,) * query.count("?")
    plan = host.store.run_now(lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {query}", numbers).fetchall())
    steps = [row["detail"] for row in plan if " holders " in row["detail"]]
    assert sorted(step.partition("INDEX ")[2] for step in steps) == [
        "holders_by_end (slow=? AND ends<?)",
        "holders_lifted",
    ]
