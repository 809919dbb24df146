"""A disk of a megabyte that can be filled to the last byte, and given room again: a real file system, a real ENOSPC."""

import errno
import subprocess
from io import FileIO
from pathlib import Path

from tests.stage.guard import Guard

SIZE = 1024 * 1024  # bytes
PIECE = 4096  # bytes: a page of the file system, and of SQLite


class SmallDisk:
    """A tmpfs of its own at `path`, which need not be there yet. The guard takes it away."""

    def __init__(self, guard: Guard, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        guard.mount(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "thwart-test", str(path)], check=True, timeout=10)
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leaves not one page free."""
        with self._filler.open("ab", buffering=0) as file:
            while _written(file):
                pass

    def free(self) -> None:
        """Gives back what `fill` took."""
        self._filler.unlink()


def _written(file: FileIO) -> bool:
    """False when there was no room for another piece."""
    try:
        file.write(b"\0" * PIECE)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return False
        raise
    return True
