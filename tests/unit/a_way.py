"""The way from a host to its broker: closed while the broker is away, or while the host blocks what it leads through.

The agent's own outbox sends over it, and its self-test looks at it; what is sent while it is closed arrives later, as
on a connection that outlives that.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from agent.self_test import SelfTest, Timing
from shared import codec
from shared.broker import Publication, Reach
from shared.messages import Acknowledgement, Expiry
from shared.outbox import Outbox
from tests.running import running
from tests.unit.a_host import AHost

QUICK = Timing(proof=0.02, doubt=0.02, probe=0.0, longest=0.04)


class AWay:
    """Open unless the broker is not `up`, or the host has one of `cutting` in force."""

    def __init__(self, host: AHost, *cutting: str) -> None:
        host.action.network = True
        self.cutting = set(cutting)
        self.up = True
        self.refuses = False  # True: while the broker isn't up, its host says so
        self.takes_messages = True  # False: an alarm; it lets us in, and confirms nothing
        self.probes = 0
        self.before_probe: Callable[[int], object] = lambda number: None  # called with each probe's number
        self.heard: list[Acknowledgement | Expiry] = []
        self.reached_at, self.connections, self.connected = float("-inf"), 1, asyncio.Event()
        self.connected.set()
        self._host = host
        self._under_way: list[tuple[Publication, asyncio.Future[None], float]] = []

    def hold_up(self) -> tuple[asyncio.Event, asyncio.Event]:
        """The next probe while something is off the host sets the first event, and waits for the second."""
        off, go_on, asked = asyncio.Event(), asyncio.Event(), self.probe

        async def probe() -> Reach:
            if self._host.executor.off:
                off.set()
                await go_on.wait()
            return await asked()

        self.probe = probe
        return off, go_on

    @property
    def is_open(self) -> bool:
        return self.up and not self.cutting & self._host.in_force().keys()

    def send(self, publication: Publication) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.append((publication, future, time.monotonic()))
        self._deliver()
        return future

    async def writable(self) -> None:
        """Always: nobody has noticed yet."""

    async def probe(self) -> Reach:
        self.probes += 1
        self.before_probe(self.probes)
        self._deliver()
        return "open" if self.is_open else "silent" if self.up or not self.refuses else "refused"

    def answers(self, order_id: str) -> list[tuple[str, str]]:
        """Status and detail of each answer that came through."""
        said = [each for each in self.heard if isinstance(each, Acknowledgement) and each.order_id == order_id]
        return [(each.status, each.detail) for each in said]

    @asynccontextmanager
    async def used(self, timing: Timing = QUICK) -> AsyncIterator[SelfTest]:
        """The host's outbox and self-test run."""
        host = self._host
        outbox = Outbox(host.store, self)
        test = SelfTest(
            host.executor,
            host.journal,
            self,
            lambda: self.probe(),
            lambda: [host.action.name],
            metrics=host.metrics,
            trouble=host.trouble,
            timing=timing,
        )

        host.when_said, host.executor.when_applied = outbox.wake, test.applied
        async with running(outbox.run(), test.run()):
            yield test

    def _deliver(self) -> None:
        if not (self.is_open and self.takes_messages):
            return
        for publication, future, set_out in self._under_way:
            if not future.done():
                future.set_result(None)
                kind = Acknowledgement if publication.kind == "acknowledgement" else Expiry
                self.heard.append(codec.decode(publication.body, kind))
                self.reached_at = max(self.reached_at, set_out)
        self._under_way.clear()
