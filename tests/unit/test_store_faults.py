"""A database that can't be used says which, why and what to do; nobody needs to know SQLite's words."""

from pathlib import Path

import pytest

from shared.errors import StoreError
from shared.store import Store, reading

SCHEMA = "CREATE TABLE IF NOT EXISTS things (name TEXT);"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    one = tmp_path / "store.db"
    store = Store(one, SCHEMA)
    store.run_now(lambda connection: connection.executemany("INSERT INTO things VALUES (?)", [("x" * 500,)] * 1_000))
    store.close()
    return one


@pytest.mark.parametrize("at", [0, 4_096])
def test_a_damaged_file_is_named_with_the_way_out(path: Path, at: int) -> None:
    """Also when only its middle is damaged, which is seen when that is read."""
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + b"\xa5" * 50_000 + whole[at + 50_000 :])
    with pytest.raises(StoreError) as said, reading(path) as connection:
        connection.execute("SELECT * FROM things").fetchall()
    assert str(said.value).startswith(f"{path}: ")
    assert "it is damaged: move it and its -wal file away" in str(said.value)


def test_a_full_disk_is_named_and_over_once_there_is_room(path: Path) -> None:
    """What did not fit is not there; what comes after it is."""
    store = Store(path, SCHEMA)
    limit = store.run_now(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    store.run_now(lambda connection: connection.execute(f"PRAGMA max_page_count = {limit}").fetchone())
    more = [("y" * 500,)] * 100
    with pytest.raises(StoreError, match="free some space there"):
        store.run_now(lambda connection: connection.executemany("INSERT INTO things VALUES (?)", more))
    store.run_now(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
    store.run_now(lambda connection: connection.executemany("INSERT INTO things VALUES (?)", more))
    assert store.run_now(lambda connection: connection.execute("SELECT count(*) FROM things").fetchone()[0]) == 1_100
    store.close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what to look at."""
    with pytest.raises(StoreError, match=r"store\.db: .*; see that its folder is there"):
        Store(tmp_path / "nowhere" / "store.db", SCHEMA)
