"""How busy the machine was with other things meanwhile, by the kernel's pressure figures."""

import re
import time
from pathlib import Path

PRESSURE = Path("/proc/pressure")  # where the kernel keeps it
WHAT = {"cpu": "a CPU", "io": "a disk"}


class Busy:
    """From now on until `told`."""

    def __init__(self) -> None:
        self._began, self._before = time.monotonic(), _waited()

    def share(self) -> dict[str, float]:
        """The share of the time in which some process waited for a `cpu`, and for `io`; nothing where it isn't kept."""
        took = (time.monotonic() - self._began) * 1_000_000
        return {what: (after - self._before[what]) / took for what, after in _waited().items()}


def told(share: dict[str, float]) -> str:
    """A sentence for people."""
    waits = [f"{share[what]:.0%} of the time for {name}" for what, name in WHAT.items() if what in share]
    return f"meanwhile something on this machine waited {' and '.join(waits)}" if waits else ""


def _waited() -> dict[str, int]:
    """Microseconds since boot."""
    return {
        what: int(found[1])
        for what in WHAT
        if (PRESSURE / what).exists() and (found := re.search(r"total=(\d+)", (PRESSURE / what).read_text()))
    }
