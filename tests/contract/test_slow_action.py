"""The contract of scripts, held against those that ship as examples; and what every slow action's key is."""

from pathlib import Path

import pytest

from agent.actions.scripts.script import Script
from agent.actions.tools.process import Limits, Programs
from agent.contract.scripts import ScriptContract

SCRIPTS = Path(__file__).parents[2] / "deploy" / "scripts"
EXAMPLES = {
    "deny-file.sh": ("203.0.113.9", "203.0.113.90", "2001:db8::9", "2001:db8::/64"),
    "deny-account.py": ("alice", "al", "bob"),
}


class AFile:
    """What a script keeps: a file with a line for each target."""

    def __init__(self, name: str, folder: Path) -> None:
        self.script, self.examples = SCRIPTS / name, EXAMPLES[name]
        self._file = folder / "denied"
        self.arguments = (str(self._file),)

    def in_force(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []

    def spoil(self) -> None:
        self._file.mkdir()


class TestExamples(ScriptContract):
    """Each is to be copied, and what is wrong with it would be copied too."""

    @pytest.fixture(params=EXAMPLES)
    def subject(self, request: pytest.FixtureRequest, tmp_path: Path) -> AFile:
        """With no such file."""
        return AFile(request.param, tmp_path)


def test_an_order_of_its_own_has_a_key_of_its_own() -> None:
    """Target and arguments name the effect; where there is no target, the order does."""
    key = Script("x", Path, Programs({}, Limits()), "web1").key
    assert key("a", ("x",), "o1") == key("a", ("x",), "o2") != key("a", ("y",), "o1")
    assert key("", ("x",), "o1") != key("", ("x",), "o2")
    assert key("a", ("b",), "o1") != key("a b", (), "o1")
