"""The contract of every action (agent/actions/action.py). A class that inherits it gives the fixture `subject`."""

import math
from collections.abc import Iterable, Mapping, Sequence

import pytest

from agent.actions.action import Effect, Result
from agent.contract.subject import Spoiling, Subject
from shared.errors import InvalidTarget

HOSTILE = (
    "; rm -rf /",
    "x; rm -rf /",
    "$(reboot)",
    "`reboot`",
    "x | reboot",
    "-j ACCEPT",
    "--help",
    "../x",
    "x/../../etc/passwd",
    "/etc/passwd",
    "a\nb",
    "a\x00b",
    "a\x1b[2J",
    "x" * 300,
    "9" * 300,
    "",
    " ",
    "*",
    "аdmin",  # its first letter is Cyrillic
    "ａdmin",
    "a\u202eb",
)


class ActionContract:
    """What is promised of whatever target."""

    def test_what_is_applied_is_in_force(self, subject: Subject) -> None:
        """All in one call, each with its own end; a result for each, in order."""
        ends = dict(zip(subject.examples, (60.0, None, *[90.0] * len(subject.examples)), strict=False))
        assert done(subject, ends) == list(ends)
        in_force(subject, ends)

    def test_applying_twice_is_the_same_as_once(self, subject: Subject) -> None:
        """A redelivered order finds its effect there and does no harm; one lift ends it."""
        ends = dict.fromkeys(subject.examples, 60.0)
        for _ in range(2):
            done(subject, ends)
        in_force(subject, ends)
        reverted(subject, subject.examples)
        in_force(subject, {})

    def test_the_last_end_given_is_the_end(self, subject: Subject) -> None:
        """Extends, shortens, makes permanent and takes that back: whatever end it had."""
        for left in (60.0, 5.0, 3_600.0, None, 60.0, None, None, 5.0) if subject.action.exact else (60.0, 5.0, None):
            done(subject, dict.fromkeys(subject.examples, left))
            in_force(subject, dict.fromkeys(subject.examples, left))

    def test_reverting_ends_an_effect_and_no_other(self, subject: Subject) -> None:
        """10.0.0.1 goes, 10.0.0.12 stays: each is there until its own turn comes."""
        assert any(one in other for one in subject.examples for other in subject.examples if one != other)
        ends: dict[str, float | None] = dict.fromkeys(sorted(subject.examples, key=len), 60.0)
        done(subject, ends)
        for gone in list(ends):
            assert reverted(subject, [gone]) == [gone]
            del ends[gone]
            in_force(subject, ends)

    def test_reverting_what_is_not_in_force_is_done(self, subject: Subject) -> None:
        """Twice, or never applied: the wish is fulfilled."""
        first, *others = subject.examples
        done(subject, {first: None})
        for _ in range(2):
            assert reverted(subject, [first, *others]) == [first, *others]
        in_force(subject, {})

    def test_many_at_once(self, subject: Subject) -> None:
        """Applied, found and reverted in one call each."""
        assert done(subject, dict.fromkeys(subject.many, 600.0)) == list(subject.many)
        assert set(subject.seen()) == set(subject.action.inspect()) == set(subject.many)
        half = subject.many[::2]
        assert reverted(subject, half) == list(half)
        assert set(subject.seen()) == set(subject.many) - set(half)
        assert reverted(subject, subject.many) == list(subject.many)
        in_force(subject, {})

    def test_the_same_twice_in_one_call(self, subject: Subject) -> None:
        """The later of the two counts, and both are answered."""
        key = subject.examples[0]
        results = subject.action.apply([effect(key, 5.0), effect(key, 60.0)])
        assert [(each.key, each.problem) for each in results] == [(key, "")] * 2
        in_force(subject, {key: 60.0})
        assert reverted(subject, [key, key]) == [key, key]
        in_force(subject, {})

    def test_nothing_to_do_is_nothing_done(self, subject: Subject) -> None:
        """An empty call has an empty answer."""
        assert subject.action.apply([]) == []
        assert subject.action.revert([]) == []

    def test_what_was_cleared_away_by_others_can_be_applied_again(self, subject: Subject) -> None:
        """Somebody's flush between two calls makes neither of them fail."""
        first, second, *_ = subject.examples
        done(subject, {first: 60.0})
        subject.flush()
        in_force(subject, {})
        assert reverted(subject, [first]) == [first]
        subject.flush()
        done(subject, {second: 60.0})
        in_force(subject, {second: 60.0})

    def test_preparing_again_keeps_what_is_in_force(self, subject: Subject) -> None:
        """And what it makes is made once."""
        ends = dict.fromkeys(subject.examples, 60.0)
        done(subject, ends)
        for _ in range(2):
            subject.action.prepare()
        in_force(subject, ends)
        reverted(subject, subject.examples)
        in_force(subject, {})

    def test_a_restarted_agent_finds_and_ends_what_is_in_force(self, subject: Subject) -> None:
        """A restart lifts nothing, and what an earlier run applied is not there for ever."""
        ends = dict.fromkeys(subject.examples, 60.0)
        done(subject, ends)
        action = subject.restarted()
        action.prepare()
        assert set(subject.seen()) == set(action.inspect()) == set(ends)
        assert not _problems(action.apply([effect(key, 90.0) for key in ends]))
        assert set(subject.seen()) == set(ends)
        assert not _problems(action.revert([effect(key, None) for key in ends]))
        assert set(subject.seen()) == set(action.inspect()) == set()

    def test_a_restarted_agent_ends_before_it_looks(self, subject: Subject) -> None:
        """What was due while it was down is the first that it does."""
        first, *others = subject.examples
        done(subject, dict.fromkeys(subject.examples, 60.0))
        action = subject.restarted()
        action.prepare()
        assert not _problems(action.revert([effect(first, None)]))
        assert set(subject.seen()) == set(others)
        reverted(subject, others)
        in_force(subject, {})

    def test_only_others_move_what_was_told(self, subject: Subject) -> None:
        """Before it was looked at nobody knows; our own calls are no news, a flush is."""
        action = subject.action
        assert subject.restarted().moved()
        action.inspect()
        assert not action.moved()
        done(subject, dict.fromkeys(subject.examples, 60.0))
        assert not action.moved()
        reverted(subject, subject.examples[1:])
        assert not action.moved()
        subject.flush()
        subject.later()
        assert action.moved()
        assert action.moved(), "until it was looked at"
        action.inspect()
        assert not action.moved()

    def test_what_others_did_between_two_calls_of_ours_is_noticed(self, subject: Subject) -> None:
        """A flush just before a block: the block doesn't hide it."""
        first, second, *_ = subject.examples
        done(subject, {first: 60.0})
        subject.action.inspect()
        subject.flush()
        done(subject, {second: 60.0})
        subject.later()
        assert subject.action.moved()
        in_force(subject, {second: 60.0})
        assert not subject.action.moved()

    def test_a_hostile_target_is_refused(self, subject: Subject) -> None:
        """What a shell, a path or an option could be made of never becomes a key."""
        refuses(subject, HOSTILE)

    def test_the_key_is_carried_out_however_the_target_is_spelled(self, subject: Subject) -> None:
        """An order's target may have blanks around it; what was judged and what is done are one."""
        key = subject.examples[0]
        spelled = Effect(key=subject.action.key(f" {key}\n", ()), target=f" {key}\n", left=60.0)
        assert spelled.key == key == subject.action.key(key, ("-v",))
        assert not _problems(subject.action.apply([spelled]))
        in_force(subject, {key: 60.0})
        assert not _problems(subject.action.revert([spelled]))
        in_force(subject, {})


class CulpritContract:
    """For what can be spoilt from outside. What runs programs has the same by `ProgramContract`."""

    @pytest.mark.parametrize("size", [1, 1_000])
    def test_one_that_fails_stops_no_other(self, subject: Spoiling, size: int) -> None:
        """Only the culprit's order is answered `failed`, with the host's words; the others are in force."""
        keys = subject.many[:size]
        culprit = keys[len(keys) * 2 // 3]
        subject.spoil(culprit)
        results = subject.action.apply([effect(key, 60.0) for key in keys])
        assert [result.key for result in results] == list(keys)
        assert [result.key for result in results if result.problem] == [culprit]
        assert set(subject.seen()) == set(subject.action.inspect()) == set(keys) - {culprit}


def effect(key: str, left: float | None) -> Effect:
    """As the executor makes it of an order whose target is spelled like its key."""
    return Effect(key=key, target=key, left=left)


def done(subject: Subject, ends: Mapping[str, float | None]) -> list[str]:
    """Applies all in one call, of which none may fail; the keys of the results."""
    results = subject.action.apply([effect(key, left) for key, left in ends.items()])
    assert not _problems(results)
    return [result.key for result in results]


def reverted(subject: Subject, keys: Sequence[str]) -> list[str]:
    """Reverts all in one call, of which none may fail; the keys of the results."""
    results = subject.action.revert([effect(key, None) for key in keys])
    assert not _problems(results)
    return [result.key for result in results]


def in_force(subject: Subject, ends: Mapping[str, float | None]) -> None:
    """Fails unless exactly these are, as everybody tells; with these seconds left, where the action tells them."""
    assert set(subject.seen()) == set(ends)
    told = subject.action.inspect()
    assert set(told) == set(ends)
    if subject.action.exact:  # in whole seconds: a real host has used some of the time already
        assert {key: left and math.ceil(left - 1e-6) for key, left in told.items()} == ends


def refuses(subject: Subject, targets: Iterable[str]) -> None:
    """Fails with every target of which the action makes a key."""
    taken = {}
    for each in targets:
        try:
            taken[each] = subject.action.key(each, ())
        except InvalidTarget:
            continue
    assert taken == {}


def _problems(results: Iterable[Result]) -> list[Result]:
    return [each for each in results if each.problem]
