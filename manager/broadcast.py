"""Tells whoever listens what happens to orders. Nobody is waited for: who falls too far behind is cut off."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from manager.news import AnyNews, CutOff, Interest, Listening, Told
from shared.clock import Clock
from shared.version import RUNNING

MOST = 20  # who may listen at once: each is a connection for as long as it likes
BEHIND = 10_000  # news that wait for one listener
SOME = 500  # news that are sent to one listener before others have a turn: a few milliseconds
QUIET = 5.0  # s without news after which a listener is told that there are none

SLOW = f"too slow: {BEHIND} news were waiting; listen again, `thwart orders` shows what was missed"
STOPPING = "the manager stops; listen again when it is back"


class Listener:
    """One who listens. Belongs to the loop."""

    def __init__(self, interest: Interest, clock: Clock) -> None:
        self._interest, self._clock = interest, clock
        self._waiting: deque[Told] = deque()
        self._stirred = asyncio.Event()
        self._why = ""  # there is no more; empty while there is

    def tell(self, news: Told) -> None:
        """Takes news for later, or is cut off."""
        if self._why or not self._interest.covers(news):
            return
        self._waiting.append(news)
        self._stirred.set()
        if len(self._waiting) > BEHIND:
            self._waiting.clear()  # nobody is to take what comes after a gap for the whole
            self.end(SLOW)

    def end(self, why: str) -> None:
        """No more news for this one but what is waiting."""
        self._why = self._why or why
        self._stirred.set()

    async def news(self) -> AsyncIterator[Sequence[AnyNews]]:
        """What is told, from the first word to the last, some at a time; none when there was nothing for a while."""
        yield (Listening(at=self._clock.wall(), version=RUNNING),)
        while self._waiting or not self._why:
            if not self._waiting:
                await self._stir()
            yield [self._waiting.popleft() for _ in range(min(SOME, len(self._waiting)))]
            await asyncio.sleep(0)  # a reader that keeps up is never waited for, and then nobody else has a turn
        yield (CutOff(at=self._clock.wall(), why=self._why),)

    async def _stir(self) -> None:
        self._stirred.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                await self._stirred.wait()


class Broadcast:
    """Everybody who listens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listeners: list[Listener] = []
        self._closed = False

    @property
    def heard(self) -> bool:
        """Whether anybody listens: without, nothing need be looked up."""
        return bool(self._listeners)

    @property
    def full(self) -> bool:
        return len(self._listeners) >= MOST

    def tell(self, make: Callable[[float], Told]) -> None:
        """Tells everybody what `make` makes of the instant, which is only made if somebody listens."""
        if self._listeners:
            news = make(self._clock.wall())
            for each in self._listeners:
                each.tell(news)

    @contextmanager
    def listening(self, interest: Interest) -> Iterator[Listener]:
        """A listener that hears what happens until this ends."""
        listener = Listener(interest, self._clock)
        self._listeners.append(listener)
        if self._closed:
            listener.end(STOPPING)
        try:
            yield listener
        finally:
            self._listeners.remove(listener)

    def close(self) -> None:
        """Tells everybody that there is no more."""
        self._closed = True
        for each in self._listeners:
            each.end(STOPPING)
