"""The contract of slow actions (agent/actions/action.py), held against the scripts that ship as examples."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from agent.actions.action import Call, Result, SlowAction
from agent.actions.process import Limits
from agent.actions.scripts import Scripts
from shared.settings import HostSettings

PROJECT = Path(__file__).parents[2]
EXAMPLES = {"deny-file.sh": ("203.0.113.9", "203.0.113.90", "2001:db8::9"), "deny-account.py": ("alice", "al", "bob")}


class Example(Struct):
    """A script that keeps a file with a line for each target."""

    action: SlowAction
    targets: tuple[str, ...]
    file: Path

    def apply(self, target: str, **said: object) -> Result:
        (result,) = self.action.apply([self._call(target, **said)])
        return result

    def revert(self, target: str) -> Result:
        (result,) = self.action.revert([self._call(target)])
        return result

    def in_force(self) -> set[str]:
        """Each once."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        assert len(set(lines)) == len(lines)
        return set(lines)

    def _call(self, target: str, **said: object) -> Call:
        alert = {"full_log": 'a "quoted" line with "srcip":"198.51.100.7" in it', "data": {"srcport": "22"}}
        return Call(
            key=self.action.key(target, (str(self.file),), "o1"),
            target=target,
            arguments=(str(self.file),),
            alert=alert,
            **said,
        )


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Example]:
    folder = tmp_path / "scripts"
    folder.mkdir(mode=0o755)
    shutil.copy(PROJECT / "deploy" / "scripts" / request.param, folder)
    settings = HostSettings(scripts=str(folder), state_dir=str(tmp_path))
    scripts = Scripts(settings, "web1", Limits(whole=20.0, grace=5.0))
    action = scripts.get(request.param)
    assert action is not None
    assert [each.name for each in scripts.look()] == [request.param]
    action.prepare(())
    yield Example(action, EXAMPLES[request.param], tmp_path / "denied")
    scripts.stop()


def test_what_is_applied_is_in_force_until_it_is_reverted(example: Example) -> None:
    """And no other with it, also not one whose spelling it is a part of."""
    for target in example.targets:
        assert example.apply(target).problem == ""
    assert example.in_force() == set(example.targets)
    first, *others = example.targets
    assert example.revert(first).problem == ""
    assert example.in_force() == set(others)


def test_twice_is_the_same_as_once(example: Example) -> None:
    """After a crash, or a reboot, it is said again."""
    target = example.targets[0]
    for _ in range(2):
        assert example.apply(target) == Result(key=example.action.key(target, (str(example.file),), "o1"), exit_code=0)
    assert example.in_force() == {target}
    for _ in range(2):
        assert example.revert(target).problem == ""
    assert example.in_force() == set()


def test_what_fails_says_why(example: Example) -> None:
    """The program's own words, and its exit code."""
    example.file.mkdir()
    result = example.apply(example.targets[0])
    assert result.problem.startswith(f"exit code {result.exit_code}: ")
    assert result.exit_code


def test_one_that_is_in_force_is_told_so(example: Example) -> None:
    """Whoever asks changes nothing then; who never asks just does it."""
    result = example.apply(example.targets[0], lasting=False, in_force=True)
    assert (result.problem, result.happened) == ("", True)
    assert result.was_there == (example.in_force() == set())


def test_an_order_of_its_own_has_a_key_of_its_own(example: Example) -> None:
    """Target and arguments name the effect; where there is no target, the order does."""
    key = example.action.key
    assert key("a", ("x",), "o1") == key("a", ("x",), "o2") != key("a", ("y",), "o1")
    assert key("", ("x",), "o1") != key("", ("x",), "o2")
    assert key("a", ("b",), "o1") != key("a b", (), "o1")
