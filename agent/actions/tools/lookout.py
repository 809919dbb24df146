"""When to look again at what nobody tells us of: for actions whose backend has no cheap sign that it was changed."""

import time
from collections.abc import Callable

EVERY = 30.0  # s: a look starts a program, or reads a file


class Lookout:
    """`moved` of an action asks `due`; its `inspect` says `looked`."""

    def __init__(self, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self._every, self._clock = every, clock
        self._looked_at: float | None = None

    def due(self) -> bool:
        """Whether nobody has looked for a while."""
        return self._looked_at is None or self._clock() - self._looked_at >= self._every

    def looked(self) -> None:
        """Somebody just has."""
        self._looked_at = self._clock()
