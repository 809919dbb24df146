"""The contract of a script that puts something in force and ends it again: what its author may run on it.

A class that inherits it gives the fixture `subject`. The script is started as an agent starts it, with an alert that
has in it what an attacker may get into a log.
"""

import shutil
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pytest

from agent.actions.action import Call, Result, SlowAction
from agent.actions.scripts.scripts import Scripts
from agent.actions.tools.process import Limits
from shared.settings import HostSettings

LIMITS = Limits(whole=20.0, grace=5.0)
AT_ONCE = 4  # as agent.script_workers has it
LINE = 'Invalid user "; $(reboot) `reboot` \\" from 203.0.113.9","data":{"srcip":"198.51.100.7","dstuser":"mallory"}'
ALERT = {"full_log": LINE, "rule": {"id": "5712", "description": "'quoted' \\n"}, "data": {"srcport": "22"}}


class Scripted(Protocol):
    """A script with nothing in force."""

    script: Path
    arguments: tuple[str, ...]  # its <extra_args>
    examples: Sequence[str]  # targets, three at least; one whose spelling is part of another's

    def in_force(self) -> Collection[str]:
        """The targets that it acts on now, each as often as it does."""

    def spoil(self) -> None:
        """From now on it can't do what it is told."""


class ScriptContract:
    """What is promised of a script whose order has an end."""

    @pytest.fixture
    def action(self, subject: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlowAction]:
        """The script in a folder of an agent's."""
        folder = tmp_path_factory.mktemp("agent") / "scripts"
        folder.mkdir(mode=0o755)
        shutil.copy(subject.script, folder)
        scripts = Scripts(HostSettings(scripts=str(folder), state_dir=str(folder.parent)), "web1", LIMITS)
        found = scripts.get(subject.script.name)
        assert found is not None
        found.prepare(subject.arguments)
        yield found
        scripts.stop()

    def test_what_is_applied_is_in_force_until_it_is_reverted(self, subject: Scripted, action: SlowAction) -> None:
        """And no other with it, also not one whose spelling it is a part of."""
        assert any(one in other for one in subject.examples for other in subject.examples if one != other)
        for gone in subject.examples:
            for each in subject.examples:
                assert _apply(action, subject, each).problem == ""
            assert sorted(subject.in_force()) == sorted(subject.examples)
            assert _revert(action, subject, gone).problem == ""
            assert sorted(subject.in_force()) == sorted({*subject.examples} - {gone})

    def test_twice_is_the_same_as_once(self, subject: Scripted, action: SlowAction) -> None:
        """After a crash, or a reboot, it is said again."""
        target = subject.examples[0]
        for _ in range(2):
            assert _apply(action, subject, target).problem == ""
        assert list(subject.in_force()) == [target]
        for _ in range(2):
            assert _revert(action, subject, target).problem == ""
        assert list(subject.in_force()) == []

    def test_several_at_once_do_not_hinder_each_other(self, subject: Scripted, action: SlowAction) -> None:
        """An agent runs it for several targets at the same time."""
        with ThreadPoolExecutor(AT_ONCE) as workers:
            done = list(workers.map(lambda each: _apply(action, subject, each).problem, subject.examples))
            assert done == [""] * len(subject.examples)
            assert sorted(subject.in_force()) == sorted(subject.examples)
            done = list(workers.map(lambda each: _revert(action, subject, each).problem, subject.examples))
        assert done == [""] * len(subject.examples)
        assert list(subject.in_force()) == []

    def test_what_fails_says_why(self, subject: Scripted, action: SlowAction) -> None:
        """An exit code that isn't 0, and words for a person on standard error."""
        subject.spoil()
        result = _apply(action, subject, subject.examples[0])
        assert result.exit_code
        assert result.problem.startswith(f"exit code {result.exit_code}: ")

    def test_one_that_is_in_force_is_told_so(self, subject: Scripted, action: SlowAction) -> None:
        """Whoever asks changes nothing then; who never asks just does it."""
        result = _apply(action, subject, subject.examples[0], lasting=False, in_force=True)
        assert (result.problem, result.happened) == ("", True)
        assert result.was_there == (not subject.in_force())


def _apply(action: SlowAction, subject: Scripted, target: str, **said: Any) -> Result:
    (result,) = action.apply([_call(action, subject, target, **said)])
    return result


def _revert(action: SlowAction, subject: Scripted, target: str) -> Result:
    (result,) = action.revert([_call(action, subject, target)])
    return result


def _call(action: SlowAction, subject: Scripted, target: str, **said: Any) -> Call:
    key = action.key(target, subject.arguments, "o1")
    return Call(key=key, target=target, arguments=subject.arguments, alert=ALERT, **said)
