"""A process whose wall clock is somebody's to step, by libfaketime; what counts seconds since boot stays true."""

from pathlib import Path

LIBRARY = "libfaketime.so.1"
FOLDERS = (Path("/usr/lib"), Path("/usr/local/lib"))


class WrongClock:
    """Begins right. `environment` is for the process that is to see it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.step(0)
        self.environment = {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def step(self, seconds: float) -> None:
        """The clock is so far ahead from now on; behind when negative."""
        ready = self._file.with_suffix(".next")
        ready.write_text(f"{seconds:+f}\n")
        ready.replace(self._file)  # at once: an empty file would be read as no step


def library() -> Path:
    """Where it is installed. Raises FileNotFoundError with what to do."""
    for folder in FOLDERS:
        for found in folder.rglob(LIBRARY):
            return found
    raise FileNotFoundError(f"{LIBRARY}: not found; install libfaketime, or run scripts/setup")
