"""Time, handed in wherever it is used, so that a test can stop it and step it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of now. Neither raises."""

    def wall(self) -> float:
        """Unix seconds (UTC). May be stepped at any moment."""

    def boot(self) -> float:
        """Seconds since boot, suspension included (CLOCK_BOOTTIME). Never steps, starts anew with a boot."""


class SystemClock:
    """The host's own clocks."""

    def wall(self) -> float:
        return time.time()

    def boot(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
