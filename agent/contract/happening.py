"""The contract of slow actions that just happen: a message, a restart. Nothing is in force by them that would end."""

import time
from collections.abc import Sequence
from typing import Protocol

import pytest

from agent.actions.action import Call, Result, SlowAction
from shared.errors import ActionError, InvalidTarget

BROKEN = ("a\nb", "a\x00b", "a\x1b[2J", "x" * 300, "a\u202eb")  # what is no line of text
PATIENCE = 10.0  # s that one which hangs may take, with the short limits that a subject gives it
ALERT = {"full_log": 'Invalid user "; $(reboot) <!channel> from 203.0.113.9', "rule": {"id": "5712", "level": 10}}


class Happening(Protocol):
    """An action that has not happened yet, with what it needs."""

    action: SlowAction
    target: str
    arguments: tuple[str, ...]
    words: str  # what the host, or a server, says when it fails

    def happened(self) -> int:
        """How often it has, told by somebody else."""

    def missing(self) -> SlowAction:
        """The same, without something that it needs."""

    def failing(self) -> SlowAction:
        """The same, where it fails from now on."""

    def hanging(self) -> SlowAction:
        """The same, where it hangs from now on, and with a short limit."""


class HappeningContract:
    """A class that inherits it gives the fixture `subject`."""

    def test_it_happens_and_a_result_says_so(self, subject: Happening) -> None:
        """Nothing is in force afterwards, so that nothing is restored and nothing ends."""
        subject.action.prepare(subject.arguments)
        (result,) = subject.action.apply(_calls(subject, 1))
        assert (result.problem, result.happened, subject.happened()) == ("", True, 1)
        assert subject.action.just_happens

    def test_what_comes_together_happens_once(self, subject: Happening) -> None:
        """A burst is one message, one restart; and each order has its answer."""
        calls = _calls(subject, min(subject.action.at_once, 50))
        assert len(calls) > 1
        results = subject.action.apply(calls)
        assert [each.key for each in results] == [each.key for each in calls]
        assert _problems(results) == []
        assert subject.happened() == 1

    def test_it_cannot_be_taken_back(self, subject: Happening) -> None:
        """And isn't done again instead."""
        calls = _calls(subject, 2)
        subject.action.apply(calls)
        results = subject.action.revert(calls)
        assert [each.key for each in results] == [each.key for each in calls]
        assert _problems(results) == []
        assert subject.happened() == 1

    def test_nothing_to_do_is_nothing_done(self, subject: Happening) -> None:
        """An empty call has an empty answer, and nothing happens."""
        assert subject.action.apply([]) == subject.action.revert([]) == []
        assert subject.happened() == 0

    def test_each_order_has_a_key_of_its_own(self, subject: Happening) -> None:
        """So that none is taken for another that has happened already."""
        keys = {subject.action.key(subject.target, subject.arguments, each) for each in ("o1", "o2", "o2")}
        assert len(keys) == 2

    @pytest.mark.parametrize("target", BROKEN)
    def test_what_is_no_line_of_text_is_no_target(self, subject: Happening, target: str) -> None:
        """It could steer a terminal, or part a header."""
        with pytest.raises(InvalidTarget):
            subject.action.key(target, subject.arguments, "o1")

    def test_what_is_missing_is_told_before_it_is_to_happen(self, subject: Happening) -> None:
        """And if it has gone by then, the answer says so."""
        action = subject.missing()
        with pytest.raises(ActionError):
            action.prepare(subject.arguments)
        assert len(_problems(action.apply(_calls(subject, 2)))) == 2
        assert subject.happened() == 0

    def test_what_fails_says_why(self, subject: Happening) -> None:
        """With the words of whoever said no, and for each order."""
        problems = _problems(subject.failing().apply(_calls(subject, 2)))
        assert [subject.words in each for each in problems] == [True, True]

    def test_what_hangs_has_an_end(self, subject: Happening) -> None:
        """After a limit it has failed."""
        action = subject.hanging()
        began = time.monotonic()
        problems = _problems(action.apply(_calls(subject, 2)))
        assert time.monotonic() - began < PATIENCE
        assert len(problems) == 2


def _calls(subject: Happening, number: int) -> list[Call]:
    action, target, arguments = subject.action, subject.target, subject.arguments
    keys = [action.key(target, arguments, f"o{each}") for each in range(number)]
    return [Call(key=key, target=target, arguments=arguments, alert=ALERT, lasting=False) for key in keys]


def _problems(results: Sequence[Result]) -> list[str]:
    return [each.problem for each in results if each.problem]
