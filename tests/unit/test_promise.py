"""PROMISE.md names a test for each sentence: every one that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:tests|agent/contract)/[\w/]+\.py)::(\w+)`")  # the contract is tests that others inherit
SENTENCES = re.compile(r"^- (.+?)(?=^- |^## |^$|\Z)", re.MULTILINE | re.DOTALL)


def test_every_test_that_is_named_exists() -> None:
    """A test that was renamed or removed takes its sentence with it, or gets its new name there."""
    named = NAMED.findall((ROOT / "PROMISE.md").read_text())
    missing = [f"{path}::{name}" for path, name in named if name not in _tests(ROOT / path)]
    assert named
    assert missing == []


def test_every_sentence_names_a_test() -> None:
    """What no test shows is not promised; what isn't covered says so by name."""
    sentences = SENTENCES.findall((ROOT / "PROMISE.md").read_text())
    unproved = [
        each.splitlines()[0] for each in sentences if not (NAMED.search(each) or each.startswith("Not covered"))
    ]
    assert sentences
    assert unproved == []


def _tests(path: Path) -> set[str]:
    if not path.exists():
        return set()
    found = ast.walk(ast.parse(path.read_text()))
    return {each.name for each in found if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
