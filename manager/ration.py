"""Log lines that somebody else can cause at will, kept to so many a minute; figures count all of them."""

import structlog

from shared.clock import Clock

MOST, SPAN = 20, 60.0  # lines in so many seconds

log = structlog.get_logger()


class Ration:
    """Warnings that others can cause, so many a minute, and then how many were left out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until, self._said, self._left_out = 0.0, 0, 0

    def say(self, event: str, **fields: object) -> None:
        """Logs it, or counts it."""
        now = self._clock.boot()
        if now >= self._until:
            fields = {**fields, "left_out_before": self._left_out} if self._left_out else fields
            self._until, self._said, self._left_out = now + SPAN, 0, 0
        if self._said < MOST:
            self._said += 1
            log.warning(event, **fields)
        else:
            self._left_out += 1
