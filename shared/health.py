"""Whether this program lives and whether it is of use, which are two things: without a broker it lives.

Live: its loop has turned within 5 s, and what it writes can be written. Ready: it takes what the broker has for it.
It is judged in a thread of its own, so that a loop that hangs can't say that all is well.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock

from msgspec import Struct

from shared.errors import StoreError
from shared.notify import Notify
from shared.store import Store

TURN = 1.0  # s between two notes that the loop turns
STILL = 5.0  # s without one, or without an answer of the store's writer, and the program is taken for dead
FRESH = 1.0  # s for which the store isn't tried again: whoever asks often writes no more often


class State(Struct, frozen=True, kw_only=True):
    """How the program is: what hangs, what can't be written, what keeps it from its work."""

    hung: tuple[str, ...] = ()
    unwritable: tuple[str, ...] = ()
    unready: tuple[str, ...] = ()

    @property
    def dead(self) -> tuple[str, ...]:
        """Why it isn't live; what isn't live isn't ready."""
        return self.hung + self.unwritable

    @property
    def live(self) -> bool:
        return not self.dead

    @property
    def ready(self) -> bool:
        return not (self.dead or self.unready)


class Health:
    """Ask it from any thread but the loop's own: it waits. `unready` names what keeps the program from its work."""

    def __init__(self, store: Store, unready: Callable[[], Sequence[str]], still: float = STILL) -> None:
        self._store, self._unready, self._still = store, unready, still
        self._turned = time.monotonic()
        self._one, self._tried, self._found = Lock(), -FRESH, State()

    async def run(self) -> None:
        """Notes that the loop turns, until cancelled."""
        while True:
            self._turned = time.monotonic()
            await asyncio.sleep(TURN)

    def look(self) -> State:
        """How it is now; takes 5 s at most."""
        since = time.monotonic() - self._turned
        still = (f"the loop has not turned for {since:.1f} s",) if since > self._still else ()
        tried = self._try()
        return State(hung=still + tried.hung, unwritable=tried.unwritable, unready=tuple(self._unready()))

    def hangs(self) -> bool:
        """True when a new start would help. On a full disk it would not: the program would only be gone then, and
        what should end would not.
        """
        return bool(self.look().hung)

    def _try(self) -> State:
        with self._one:
            if time.monotonic() - self._tried > FRESH:
                self._found = _outcome(self._store.probe(), self._still)
                self._tried = time.monotonic()
            return self._found


async def tell(notify: Notify, sentence: Callable[[], str]) -> None:
    """Tells systemd how the program is, whenever that changes, until cancelled."""
    while True:
        notify.status(sentence())
        await asyncio.sleep(TURN)


def _outcome(trial: Future[None], patience: float) -> State:
    try:
        trial.result(patience)
    except TimeoutError:
        trial.cancel()  # else trials pile up behind what holds the writer
        return State(hung=(f"nothing could be written down for {patience:.1f} s",))
    except StoreError as error:
        return State(unwritable=(f"nothing can be written down: {error}",))
    return State()
