"""What agents' collectors ship: lines in, alerts and file positions out, in one transaction; the batch is acked after.

When the transaction fails nothing is acked, and it is tried again with the alerts that were found: the same lines are
not counted twice.
"""

import asyncio
from collections.abc import Sequence

from manager.chronicle import Chronicle
from manager.dead_letters import DeadLetters
from manager.dispatch import Dispatch
from manager.metrics import Metrics
from manager.persistence import store_all
from manager.responses.verdict import Sighting
from manager.sources.correlator_thread import CorrelatorThread, Reading
from shared.broker import Consumer
from shared.messages import LogBatch
from shared.topology import MANAGER_LOGS

PREFETCH = 100  # batches of up to 256 KiB each
AT_ONCE = 50  # read in one go: the next ones are on their way meanwhile


class AgentLogs:
    """The consumer of `thwart.manager.logs`."""

    def __init__(
        self,
        consumer: Consumer,
        thread: CorrelatorThread,
        dispatch: Dispatch,
        dead: DeadLetters,
        chronicle: Chronicle,
        metrics: Metrics,
    ) -> None:
        self._consumer, self._thread, self._dispatch = consumer, thread, dispatch
        self._dead, self._chronicle, self._metrics = dead, chronicle, metrics

    async def run(self) -> None:
        """Takes batches until cancelled."""
        while True:
            deliveries = await self._consumer.batch(MANAGER_LOGS, AT_ONCE)
            batches = await self._dead.sift(deliveries, {"log": LogBatch})
            reading = await self._thread.read([batch for _, batch in batches])
            await self._take(reading)
            self._consumer.ack_through(deliveries[-1])

    async def _take(self, reading: Reading) -> None:
        async def take(some: Sequence[Sighting]) -> None:
            taken = await self._dispatch.take(some, reading.positions)
            # what was ordered is on its way before it is told: half a millisecond of the block's
            await asyncio.sleep(0)
            self._chronicle.taken(taken)

        await store_all(take, reading.sightings, "log lines")
        self._metrics.lines.inc(reading.lines)
        self._metrics.lines_known.inc(reading.known)
        self._metrics.alerts.labels("quiet").inc(reading.quiet)
        self._metrics.cut.inc(reading.cut)
