"""Trying an action out: what is seen is told, what must not be touched isn't, and nothing is left behind."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.actions.action import Action, Call, Effect, Result
from agent.actions.ip_customblock import IpCustomblock
from agent.actions.tools.process import Limits
from agent.trials import Offered, TrialAnswer, TrialRequest
from shared.errors import ActionError
from tests.unit.a_host import ATTACKER, AHost
from tests.unit.a_script_host import ScriptHost
from tests.unit.a_trial import ALIAS, ALLOWED, PROTECTED, trials
from tests.waiting import eventually

OTHER = "203.0.113.10"
SLOWLY = 'read -r line; echo "$line" >> said; touch began; while [ ! -e go ]; do sleep 0.01; done\n'


class Sham(IpCustomblock):
    """Says that it is done, and does nothing."""

    name = "sham"

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return [Result(key=each.key) for each in effects]


class Stuck(IpCustomblock):
    """What it has put in force stays so."""

    name = "stuck"

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return [Result(key=each.key, problem="busy") for each in effects]


class Absent(IpCustomblock):
    """What it needs isn't there."""

    name = "absent"

    def prepare(self) -> None:
        raise ActionError("absent-tool: not found")


class Blind(IpCustomblock):
    """Can be looked at once."""

    name = "blind"

    def inspect(self) -> dict[str, float | None]:
        if self._known is not None:
            raise ActionError("gone blind")
        return super().inspect()


class Message:
    """Just happens."""

    name, backend, at_once, just_happens = "message", "post", 10, True

    def __init__(self) -> None:
        self.sent: list[str] = []

    def key(self, target: str, arguments: Sequence[str], order_id: str) -> str:
        return order_id

    def prepare(self, arguments: Sequence[str]) -> None:
        if not arguments:
            raise ActionError("it has no address to go to")

    def apply(self, calls: Sequence[Call]) -> list[Result]:
        self.sent += [each.target for each in calls]
        return [Result(key=each.key, happened=True) for each in calls]

    def revert(self, calls: Sequence[Call]) -> list[Result]:
        raise AssertionError("there is nothing to revert")

    def resumed(self, call: Call) -> None:
        pass


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[AHost]:
    """With one block in force."""
    one = AHost(tmp_path)
    await one.do(one.add())
    yield one
    one.close()


async def tried(
    host: AHost, folder: Path, name: str, target: str = OTHER, *others: Action, built_in: Any = (), arguments: Any = ()
) -> TrialAnswer:
    one = trials(host, folder, *others, built_in=built_in)
    return await one.try_out(TrialRequest(action=name, target=target, arguments=tuple(arguments)))


def told(answer: TrialAnswer) -> list[tuple[str, bool | None, str]]:
    return [(each.did, each.in_force, each.problem) for each in answer.steps]


async def test_what_works_is_seen_to(host: AHost, tmp_path: Path) -> None:
    """In force after it was applied, and not after it was reverted; what else is in force stays."""
    answer = await tried(host, tmp_path, "firewall-drop")
    assert told(answer) == [("applied", True, ""), ("reverted", False, "")]
    assert (answer.works, answer.backend, answer.error) == (True, "fake", "")
    assert set(host.in_force()) == {ATTACKER}
    assert host.action.calls[-2:] == [("apply", (OTHER,)), ("revert", (OTHER,))]


async def test_a_trial_that_is_cut_short_ends_by_itself(host: AHost, tmp_path: Path) -> None:
    """Where the host keeps the time, whatever becomes of the agent in between."""
    seen: list[float | None] = []
    apply = host.action.apply
    host.action.apply = lambda effects: seen.extend(each.left for each in effects) or apply(effects)
    await tried(host, tmp_path, "firewall-drop")
    assert seen == [60.0]


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (Sham, [("applied", False, ""), ("reverted", False, "")]),
        (Stuck, [("applied", True, ""), ("reverted", True, "busy")]),
        (
            Blind,
            [
                ("applied", None, "what is in force can't be looked at: gone blind"),
                ("reverted", None, "what is in force can't be looked at: gone blind"),
            ],
        ),
    ],
)
async def test_what_does_not_work_is_told(
    host: AHost, tmp_path: Path, kind: type[IpCustomblock], steps: list[object]
) -> None:
    """By what is there afterwards, and not by what it says of itself."""
    answer = await tried(host, tmp_path, kind.name, OTHER, kind(folder=str(tmp_path / "blocked")))
    assert (answer.works, told(answer)) == (False, steps)


async def test_what_fails_says_why_and_is_reverted_all_the_same(host: AHost, tmp_path: Path) -> None:
    """It may have got half way."""
    host.action.failing[OTHER] = "can't be done"
    answer = await tried(host, tmp_path, "firewall-drop")
    assert told(answer) == [("applied", False, "can't be done"), ("reverted", False, "can't be done")]
    assert host.action.calls[-1] == ("revert", (OTHER,))


@pytest.mark.parametrize(
    ("name", "target", "says"),
    [
        ("firewall-drop", ATTACKER, "firewall-drop is in force on 203.0.113.9 already; try another target, or lift"),
        ("firewall-drop", f" ::ffff:{ATTACKER}", "already"),
        (ALIAS, ATTACKER, "firewall-drop is in force on 203.0.113.9 already"),
        ("firewall-drop", PROTECTED, "protected: 198.51.100.7 is protected by 198.51.100.7 (the broker)"),
        ("firewall-drop", "198.51.100.0/24", "protected: "),
        ("firewall-drop", ALLOWED, "agent.allow"),
        ("firewall-drop", "localhost", "'localhost' is not an IP address or network"),
        ("firewall-drop", "", "firewall-drop acts on a target: name one"),
        ("absent", OTHER, "absent can't be carried out on this host: files: absent-tool: not found"),
        ("note.sh", PROTECTED, "protected: "),
        ("pf", OTHER, "pf is no action of this host; `thwart-agent action list`"),
        ("../x", OTHER, "no action of this host"),
        ("message", "", "it has no address to go to"),
    ],
)
async def test_what_must_not_be_tried_is_not(host: AHost, tmp_path: Path, name: str, target: str, says: str) -> None:
    """It is refused with the reason, and nothing is touched."""
    a_script(tmp_path)
    calls = list(host.action.calls)
    answer = await tried(host, tmp_path, name, target, Absent(), built_in=[Message()])
    assert says in answer.error
    assert (answer.works, answer.steps) == (False, ())
    assert [each for each in host.action.calls[len(calls) :] if each[0] != "prepare"] == []
    assert not (tmp_path / "said").exists()


async def test_what_somebody_else_has_in_force_stays_so(host: AHost, tmp_path: Path) -> None:
    """No journal tells of it, and a trial would end it."""
    host.action.tamper({OTHER: None})
    assert "already" in (await tried(host, tmp_path, "firewall-drop")).error
    assert set(host.action.seen()) == {OTHER}


async def test_what_the_journal_has_in_force_stays_so(host: AHost, tmp_path: Path) -> None:
    """Also while it isn't: somebody has flushed the firewall, and the next turn puts it back."""
    host.action.flush()
    for name in ("firewall-drop", ALIAS):
        assert "already" in (await tried(host, tmp_path, name, ATTACKER)).error


async def test_a_script_is_told_both(host: AHost, tmp_path: Path) -> None:
    """What it did can't be looked up; its exit codes are told."""
    a_script(tmp_path)
    answer = await tried(host, tmp_path, "note.sh", arguments=["x"])
    assert told(answer) == [("applied", None, ""), ("reverted", None, "")]
    assert (answer.works, answer.backend) == (True, "script")
    assert (tmp_path / "said").read_text().splitlines() == ["add", "delete"]


async def test_an_order_for_what_is_tried_waits_until_that_is_over(tmp_path: Path) -> None:
    """Else the trial's `delete` would take back what the order has put in force."""
    host = ScriptHost(tmp_path, Limits(whole=10.0, grace=5.0))
    host.script("note.sh", SLOWLY)
    trial = asyncio.create_task(tried(host, tmp_path, "note.sh", ATTACKER))
    await eventually(lambda: (host.notes / "began").exists())
    await host.take(host.order("note.sh", timeout=60.0))
    await host.executor.errands.begin()
    assert host.executor.errands.out == 0
    (host.notes / "go").touch()
    assert (await trial).works
    await host.errands()
    assert host.commands() == ["add", "delete", "add"]
    assert host.answers() == [("applied", "new")]
    host.close()


async def test_what_is_ordered_just_now_is_not_tried(tmp_path: Path) -> None:
    """Though nobody knows yet that it is in force."""
    host = ScriptHost(tmp_path, Limits(whole=10.0, grace=5.0))
    host.script("note.sh", SLOWLY)
    await host.take(host.order("note.sh", timeout=60.0))
    await host.executor.errands.begin()
    answer = await tried(host, tmp_path, "note.sh", ATTACKER)
    assert answer.error == f"note.sh is at work on {ATTACKER} just now; try again in a moment"
    (host.notes / "go").touch()
    await host.errands()
    assert host.commands() == ["add"]
    host.close()


async def test_a_script_that_fails_is_told(host: AHost, tmp_path: Path) -> None:
    """With its last words."""
    a_script(tmp_path, "echo no such thing >&2; exit 3")
    answer = await tried(host, tmp_path, "note.sh")
    assert not answer.works
    assert {each.problem for each in answer.steps} == {"exit code 3: no such thing"}


async def test_what_just_happens_happens_once(host: AHost, tmp_path: Path) -> None:
    """A message can't be taken back."""
    message = Message()
    answer = await tried(host, tmp_path, "message", "", built_in=[message], arguments=["x"])
    assert (answer.works, told(answer), message.sent) == (True, [("applied", None, "")], [""])


async def test_all_that_a_host_has_is_listed(host: AHost, tmp_path: Path) -> None:
    """What is built in, what packages bring, scripts; and what it lacks, with the reason."""
    a_script(tmp_path)
    absent = IpCustomblock(folder="/dev/null/blocked")
    found = trials(host, tmp_path, absent, built_in=[Message()]).list().actions
    assert found == (
        Offered(action="block", backend="fake"),
        Offered(action="firewall-drop", backend="fake"),
        Offered(action="ip-customblock", why_not="files: /dev/null: no folder that can be written to"),
        Offered(action="message", backend="post", why_not="it has no address to go to"),
        Offered(action="note.sh", backend="script"),
    )


def a_script(folder: Path, does: str = "") -> None:
    """One that notes what it is told."""
    (folder / "scripts").mkdir(mode=0o755)
    script = folder / "scripts" / "note.sh"
    command = """sed -n 's/.*"command":"\\([a-z]*\\)".*/\\1/p'"""
    script.write_text(f"#!/bin/sh\nhead -n 1 | {command} >>{folder}/said\n{does}\n")
    script.chmod(0o755)
