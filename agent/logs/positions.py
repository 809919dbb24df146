"""How far each followed file and journal was shipped, written down: it moves after the broker's confirm, never before.

Losing the last moments of it is harmless. What is sent again goes under the same identity and offsets, and the
manager drops what it has.
"""

from collections.abc import Iterable

from msgspec import Struct

from shared.store import Connection

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT NOT NULL,
    file TEXT NOT NULL,
    inode TEXT NOT NULL,
    position INTEGER NOT NULL,
    before BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (path, file)
);
CREATE TABLE IF NOT EXISTS journals (
    source TEXT PRIMARY KEY,
    cursor TEXT NOT NULL,
    since REAL NOT NULL
);
"""
_LOAD = "SELECT file, inode, position, before, seq FROM files WHERE path = ? ORDER BY seq"
_SAVE = """
INSERT INTO files (path, file, inode, position, before, seq) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (path, file) DO UPDATE
SET inode = excluded.inode, position = excluded.position, before = excluded.before, seq = excluded.seq
"""
_PRUNE = "DELETE FROM files WHERE path = ? AND seq <= ?"
_LOAD_JOURNAL = "SELECT cursor, since FROM journals WHERE source = ?"
_SAVE_JOURNAL = """
INSERT INTO journals (source, cursor, since) VALUES (?, ?, ?)
ON CONFLICT (source) DO UPDATE SET cursor = excluded.cursor, since = excluded.since
"""

KEPT = 50  # files that one path had: enough to know each that rotation still keeps


class Place(Struct, frozen=True, kw_only=True):
    """A place in a file: everything before `position` was shipped.

    `file` is the identity that the manager knows it by: `<inode>-<hash of its first line>`, and a number after it
    when the path had such a file before. It is made once and kept over renaming; `inode` and the bytes `before` the
    position tell whether a file on the disk is still that one, or was truncated, or is another in its inode.
    The file "" stands for one of which nothing was shipped yet, or for none at all.
    """

    file: str = ""
    inode: int = 0
    position: int = 0
    before: bytes = b""
    seq: int = 0  # the path's files in the order in which they were begun

    @property
    def within_line(self) -> bool:
        """True inside a line that was cut: what follows is to be skipped up to its newline."""
        return bool(self.before) and not self.before.endswith(b"\n")


class JournalPlace(Struct, frozen=True, kw_only=True):
    """A place in a journal: the entry at `cursor` and all before it were shipped; without one, what came `since`."""

    cursor: str = ""
    since: float = 0.0  # Unix seconds


def load(connection: Connection, path: str) -> list[Place]:
    """Every known place in the files that `path` had, the latest file last; none for a path never followed."""
    return [
        Place(
            file=row["file"],
            inode=int(row["inode"]),
            position=row["position"],
            before=row["before"],
            seq=row["seq"],
        )
        for row in connection.execute(_LOAD, (path,))
    ]


def save(connection: Connection, places: Iterable[tuple[str, Place]]) -> None:
    """Writes down places of files by path, and forgets files that are long gone."""
    for path, place in places:
        # inodes are text: some filesystems use all 64 bits, SQLite has a sign in them
        row = (path, place.file, str(place.inode), place.position, place.before, place.seq)
        connection.execute(_SAVE, row)
        connection.execute(_PRUNE, (path, place.seq - KEPT))


def load_journal(connection: Connection, source: str) -> JournalPlace | None:
    """The place in a journal; None for one that was never followed."""
    row = connection.execute(_LOAD_JOURNAL, (source,)).fetchone()
    return None if row is None else JournalPlace(cursor=row["cursor"], since=row["since"])


def save_journals(connection: Connection, places: Iterable[tuple[str, JournalPlace]]) -> None:
    """Writes down places in journals by source."""
    connection.executemany(_SAVE_JOURNAL, ((source, place.cursor, place.since) for source, place in places))
