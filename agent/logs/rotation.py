"""Where a log's earlier lines went: finds what rotation did to a file that was being read, here or while we were away.

Known are `name.1 …` and `name-<date>` beside the log, renamed or copied (`copytruncate`). A rotated file that was
compressed or moved to another folder before it was read to its end can't be found again.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from agent.logs.opened import Opened, continues, open_log
from agent.logs.positions import Place

_COUNTED = re.compile(r"\.(\d{1,4})\Z")
_DATED = re.compile(r"[.-]\d{5}[\d._T:-]*\Z|[.-]\d{4}-[\d._T:-]*\Z")
TRIES = 10


def rest_of(path: Path, place: Place) -> Opened | None:
    """The file in which what follows `place` is now, opened there; None if there is none.

    It is the same inode, under this name or another, or else a copy that was made before the file was truncated.
    """
    beside = _beside(path) if place.file else _rotated(path)
    same = [each for each in beside if _inode(each) == place.inode]
    copies = [each for each in _rotated(path) if each not in same] if place.file else []
    for each in (*same, *copies):
        with suppress(OSError):
            opened = open_log(each, place)
            if continues(opened.fd, place):
                return opened
            opened.close()
    return None


def begun_again(path: Path, inode: int) -> Opened | None:
    """The rotated file in an inode whose earlier contents are gone: truncated, or deleted and given again."""
    for each in _rotated(path):
        if _inode(each) == inode:
            with suppress(OSError):
                return open_log(each, Place())
    return None


def open_after(path: Path, inode: int) -> list[Opened]:
    """The files that came after the one with `inode`, the oldest first; the last is the one at `path`, if there is.

    Raises OSError when the one at `path` can't be opened.
    """
    for _ in range(TRIES):
        names = _after(path, inode)
        opened = _open_all(path, names)
        # what was renamed in between could be opened twice, or not at all
        if names == _after(path, inode) and all(_inode(name) == one.inode for name, one in opened):
            return [one for _, one in opened]
        for _, one in opened:
            one.close()
    return []


def _after(path: Path, inode: int) -> list[Path]:
    names = _rotated(path)
    at = next((number for number, each in enumerate(names) if _inode(each) == inode), len(names))
    return [*names[at + 1 :], *([path] if _inode(path) not in (None, inode) else [])]


def _open_all(path: Path, names: list[Path]) -> list[tuple[Path, Opened]]:
    """Those that can be opened; raises OSError when the one at `path` can't."""
    opened: list[tuple[Path, Opened]] = []
    for name in names:
        try:
            opened.append((name, open_log(name, Place())))
        except OSError:
            if name == path:
                for _, one in opened:
                    one.close()
                raise
    return opened


def _beside(path: Path) -> list[Path]:
    """What lies beside `path` and is called after it, itself included."""
    try:
        return sorted(path.parent / name for name in os.listdir(path.parent) if name.startswith(path.name))
    except OSError:
        return []


def _rotated(path: Path) -> list[Path]:
    """The files that `path` was before, the oldest first."""
    ranked = ((_rank(path, each), each) for each in _beside(path))
    return [each for _, each in sorted((rank, each) for rank, each in ranked if rank is not None)]


def _rank(path: Path, other: Path) -> tuple[int, str] | None:
    """Sorts rotated files, the oldest first; None for what isn't one."""
    suffix = other.name.removeprefix(path.name)
    if counted := _COUNTED.fullmatch(suffix):
        return -int(counted[1]), ""
    return (0, suffix) if _DATED.fullmatch(suffix) else None


def _inode(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_ino
    return None
