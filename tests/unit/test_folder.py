"""A database that is damaged is set aside with all that belongs to it; one that is whole is left alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent import folder
from agent.journal.schema import SCHEMA
from shared.errors import StoreError
from shared.store import Store

ROW = "INSERT INTO tombstones VALUES (?, 0)"
COUNT = "SELECT count(*) FROM tombstones"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of some hundred pages."""
    one = tmp_path / folder.JOURNAL
    store = Store(one, SCHEMA)
    store.run_now(lambda connection: connection.executemany(ROW, [(f"{n:0400}",) for n in range(1_000)]))
    store.close()
    return one


def count(path: Path) -> int:
    store = folder.opened(path, SCHEMA)
    try:
        return store.run_now(lambda connection: connection.execute(COUNT).fetchone()[0])
    finally:
        store.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"\xa5" * len(whole),
        lambda whole: whole[:100_000] + b"\xa5" * 20_000 + whole[120_000:],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: b"no database",
    ],
)
def test_a_damaged_database_is_set_aside(path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Whatever happened to it: it is kept for a person, as it was, and the new one is empty and works."""
    spoilt = damage(path.read_bytes())
    path.write_bytes(spoilt)
    assert count(path) == 0
    (aside,) = folder.aside(path.parent)
    assert aside.read_bytes() == spoilt
    assert aside.name.startswith("journal.db.damaged-2")
    assert count(path) == 0
    assert folder.aside(path.parent) == [aside]


def test_a_whole_one_is_left_alone(path: Path) -> None:
    """With what a crash has left in its log."""
    assert count(path) == 1_000
    assert folder.aside(path.parent) == []


def test_an_empty_file_is_a_new_database(path: Path) -> None:
    """As SQLite has it."""
    path.write_bytes(b"")
    assert count(path) == 0
    assert folder.aside(path.parent) == []


def test_what_is_not_damage_is_an_error_and_nothing_is_moved(tmp_path: Path) -> None:
    """A folder that isn't there, or may not be written to, is no reason to begin anew."""
    with pytest.raises(StoreError, match="see that its folder is there"):
        folder.opened(tmp_path / "nowhere" / folder.JOURNAL, SCHEMA)
    assert list(tmp_path.iterdir()) == []
