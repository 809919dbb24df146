"""README's walk is what happens."""

from pathlib import Path

import pytest

from tests.stage import walk
from tests.stage.guard import Guard

pytestmark = [pytest.mark.root, pytest.mark.broker]


def test_the_walk_in_the_readme_happens(guard: Guard, tmp_path: Path) -> None:
    """Played again, each of its commands prints the same words, times and ids aside."""
    played = walk.unchanging(walk.play(guard, tmp_path / "fleet"))
    recorded = walk.unchanging(walk.recorded(walk.README.read_text()))
    assert played == recorded, "README's walk is out of date; run `python -m tests.stage.walk`"
