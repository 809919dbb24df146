"""The contract of actions that run programs of the host: what becomes of an order when one of these is of no use.

The rule it holds them to: done means that the effect was seen, whatever is missing, fails or hangs.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.actions.action import Action, Result
from agent.actions.tools.tool import Tools
from agent.contract.action import done, effect, in_force, reverted
from agent.contract.subject import Programmed
from shared.errors import ActionError

WORDS = "no: out of order"
MARK = "refused"  # a file beside them, once one has refused
LIMIT = 0.2  # s that a program may take where one hangs
PATIENCE = 20 * LIMIT  # s that a call may take then

_FAILS = f"#!/bin/sh\necho '{WORDS}' >&2\nexit 1\n"
_HANGS = "#!/bin/sh\nexec /bin/sleep 60\n"
# Fails with whatever names the culprit, in its arguments or in what it is told, and does everything else.
_REFUSES = """\
#!{python} -IS
import os, re, sys
said = sys.stdin.buffer.read()
named = b"\\n".join([*map(os.fsencode, sys.argv[1:]), said])
if re.search(rb"(?<![\\w.:-])" + re.escape({culprit!r}.encode()) + rb"(?![\\w.:-])", named):
    open({mark!r}, "w").close()
    sys.exit({words!r})
told = os.memfd_create("said")
os.write(told, said)
os.lseek(told, 0, os.SEEK_SET)
os.dup2(told, 0)
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""


class ProgramContract:
    """Beside `ActionContract`."""

    @pytest.fixture
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """For what stands in for programs. None of the subject's own are in it."""
        return tmp_path_factory.mktemp("programs")

    def test_a_missing_program_is_named_before_the_first_attack(self, subject: Programmed, folder: Path) -> None:
        """`iptables: not found`, from `prepare`; and nobody is told that a block is in force."""
        action = subject.made(replace(subject.tools, path=str(folder)))
        with pytest.raises(ActionError, match=rf"\b({'|'.join(subject.programs)}): not found"):
            action.prepare()
        _tells_the_truth(subject, action)
        assert set(subject.seen()) == set()

    def test_each_program_that_is_missing_is_noticed(self, subject: Programmed, folder: Path) -> None:
        """Also when all the others are there."""
        for missing in subject.programs:
            path = folder / missing
            path.mkdir()
            for each in set(subject.programs) - {missing}:
                (path / each).symlink_to(_found(each, subject.tools))
            action = subject.made(replace(subject.tools, path=str(path)))
            with pytest.raises(ActionError, match=f"{missing}: not found"):
                action.prepare()
            _tells_the_truth(subject, action)
            _clear(subject)

    def test_what_fails_says_so_in_the_tools_words(self, subject: Programmed, folder: Path) -> None:
        """Nothing is done, so nothing is said to be."""
        action = subject.made(_broken(subject, folder, subject.programs, _FAILS))
        _all_failed(action.apply([effect(key, 60.0) for key in subject.examples]))
        assert set(subject.seen()) == set()

    def test_a_revert_that_fails_is_not_done(self, subject: Programmed, folder: Path) -> None:
        """What is still in force is still to be ended."""
        done(subject, dict.fromkeys(subject.examples, 60.0))
        action = subject.made(_broken(subject, folder, subject.programs, _FAILS))
        _all_failed(action.revert([effect(key, None) for key in subject.examples]))
        _inspect_is_true(subject, action)
        assert set(subject.seen()) == set(subject.examples)
        reverted(subject, subject.examples)
        in_force(subject, {})

    def test_one_program_that_fails_makes_no_false_promise(self, subject: Programmed, folder: Path) -> None:
        """The set is there and the rule isn't: that is no block."""
        for program in subject.programs:
            _tells_the_truth(subject, subject.made(_broken(subject, folder / program, [program], _FAILS)))
            _clear(subject)

    def test_a_program_that_hangs_holds_nobody_up(self, subject: Programmed, folder: Path) -> None:
        """It is killed after its limit, and not waited for with each order again."""
        for program in subject.programs:
            tools = replace(_broken(subject, folder / program, [program], _HANGS), limit=LIMIT)
            action = subject.made(tools)
            began = time.monotonic()
            _tells_the_truth(subject, action)
            assert time.monotonic() - began < PATIENCE
            _clear(subject)

    def test_what_hangs_says_so(self, subject: Programmed, folder: Path) -> None:
        """And from then on at once: what is asked of it next waits for nothing."""
        action = subject.made(replace(_broken(subject, folder, subject.programs, _HANGS), limit=LIMIT))
        some = [effect(key, 60.0) for key in subject.examples]
        assert all(re.search("had not ended within|hangs", each.problem) for each in action.apply(some))
        assert all("hangs; it is tried again in" in each.problem for each in action.apply(some))

    @pytest.mark.parametrize("size", [1, 30])
    def test_one_that_is_refused_stops_no_other(self, subject: Programmed, folder: Path, size: int) -> None:
        """Only the culprit's order is answered `failed`, with the tool's words; the others are in force.

        Where no program is told of it by name, in its arguments or what it reads, nothing fails.
        """
        keys = subject.many[:size]
        culprit = keys[len(keys) * 2 // 3]
        refused = folder / MARK
        results = subject.made(_refusing(subject, folder, culprit)).apply([effect(key, 60.0) for key in keys])
        assert [result.key for result in results] == list(keys)
        fails = {culprit} if refused.exists() else set()
        assert {result.key for result in results if WORDS in result.problem} == fails
        assert {result.key for result in results if result.problem} == fails
        assert set(subject.seen()) == set(keys) - fails
        _clear(subject)


def _tells_the_truth(subject: Programmed, action: Action) -> None:
    """Applies, looks and reverts; what is said to be done must be."""
    keys = subject.examples
    assert _done(action.apply, keys, 60.0) <= set(subject.seen())
    _inspect_is_true(subject, action)
    assert not _done(action.revert, keys, None) & set(subject.seen())
    _inspect_is_true(subject, action)


def _inspect_is_true(subject: Programmed, action: Action) -> None:
    """Who can't look raises ActionError, and never says that there is nothing."""
    try:
        told = set(action.inspect())
    except ActionError:
        return
    assert told == set(subject.seen())


def _done(how: Callable[..., list[Result]], keys: Iterable[str], left: float | None) -> set[str]:
    results = how([effect(key, left) for key in keys])
    assert [each.key for each in results] == list(keys)
    return {each.key for each in results if not each.problem}


def _all_failed(results: Iterable[Result]) -> None:
    assert [each.problem for each in results if WORDS not in each.problem] == []


def _clear(subject: Programmed) -> None:
    """What a broken tool has left is whole again with one that works, and leaves nothing behind."""
    subject.action.prepare()
    keys = [*{*subject.seen(), *subject.examples}]
    done(subject, dict.fromkeys(keys, 60.0))
    assert set(subject.seen()) == set(keys)
    reverted(subject, keys)
    in_force(subject, {})


def _broken(subject: Programmed, folder: Path, programs: Iterable[str], text: str) -> Tools:
    """The subject's tools, of which these are something else."""
    folder.mkdir(exist_ok=True)
    for each in programs:
        _write(folder / each, text)
    return replace(subject.tools, path=f"{folder}{os.pathsep}{subject.tools.path}")


def _refusing(subject: Programmed, folder: Path, culprit: str) -> Tools:
    for each in subject.programs:
        program = _found(each, subject.tools)
        words = {"culprit": culprit, "mark": str(folder / MARK), "words": WORDS, "program": program}
        _write(folder / each, _REFUSES.format(python=sys.executable, **words))
    return replace(subject.tools, path=f"{folder}{os.pathsep}{subject.tools.path}")


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _found(program: str, tools: Tools) -> str:
    found = shutil.which(program, path=tools.path)
    assert found is not None, f"{program} is none of the programs that the subject's tools have"
    return found
