"""What agents say: answers and ends into the ledger, heartbeats into the roster; each acked once it is written down."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog

from manager.broadcast import Broadcast
from manager.catchup import CatchUp
from manager.chronicle import Chronicle
from manager.dead_letters import DeadLetters
from manager.ledger.answers import Event, Named, Recorded
from manager.ledger.ledger import Ledger
from manager.persistence import store_all
from manager.sources.correlator_thread import CorrelatorThread
from shared.broker import Consumer
from shared.clock import Clock
from shared.errors import MalformedMessage, StoreError
from shared.messages import Acknowledgement, Expiry, Heartbeat
from shared.topology import MANAGER_EVENTS, MANAGER_HEARTBEATS

log = structlog.get_logger()


class Events:
    """The consumer of `thwart.manager.events`."""

    def __init__(
        self,
        consumer: Consumer,
        ledger: Ledger,
        catch_up: CatchUp,
        thread: CorrelatorThread,
        dead: DeadLetters,
        chronicle: Chronicle,
        broadcast: Broadcast,
        clock: Clock,
    ) -> None:
        self._consumer, self._ledger, self._catch_up = consumer, ledger, catch_up
        self._thread, self._dead, self._chronicle, self._clock = thread, dead, chronicle, clock
        self._broadcast = broadcast

    async def run(self) -> None:
        """Takes answers and ends until cancelled."""
        kinds: dict[str, type[Acknowledgement | Expiry]] = {"acknowledgement": Acknowledgement, "expiry": Expiry}
        while True:
            deliveries = await self._consumer.batch(MANAGER_EVENTS)
            sifted = await self._dead.sift(deliveries, kinds)
            results, spoiled = await store_all(self._ledger.record, [event for _, event in sifted], "answers")
            for delivery, event in sifted:
                if event in spoiled:
                    await self._dead.set_aside(delivery, MalformedMessage("it can't be stored"))
            for recorded in results:
                self._hear(recorded, await self._named(recorded))
            self._consumer.ack_through(deliveries[-1])

    async def _named(self, recorded: Recorded) -> Mapping[str, Named]:
        """What the orders are about that answers name by their ids alone; looked up only for somebody who listens."""
        if self._broadcast.heard:
            with suppress(StoreError):  # a listener hears less then, and the answers are acked all the same
                return await self._ledger.named({event.order_id for event in recorded.settling})
        return {}

    def _hear(self, recorded: Recorded, named: Mapping[str, Named]) -> None:
        self._catch_up.recorded(recorded)
        self._chronicle.recorded(recorded, named)
        self._forget(recorded.settling)

    def _forget(self, settling: Sequence[Event]) -> None:
        """Lines from before a block's end are no part of the next offence."""
        for event in settling:
            if isinstance(event, Expiry) and event.outcome == "reverted" and event.target:
                # by the agent's clock, which may be ahead: what was logged since then is still to be counted
                self._thread.forget(event.target, before=min(event.at, self._clock.wall()))


class Heartbeats:
    """The consumer of `thwart.manager.heartbeats`."""

    def __init__(self, consumer: Consumer, catch_up: CatchUp, dead: DeadLetters) -> None:
        self._consumer, self._catch_up, self._dead = consumer, catch_up, dead

    async def run(self) -> None:
        """Takes heartbeats until cancelled. One that can't be written down is not worth keeping the next from."""
        while True:
            deliveries = await self._consumer.batch(MANAGER_HEARTBEATS)
            heartbeats = [each for _, each in await self._dead.sift(deliveries, {"heartbeat": Heartbeat})]
            try:
                await self._catch_up.heard(heartbeats)
            except StoreError as error:
                log.error("the roster can't be written", action="roster_failed", error=str(error))
            self._consumer.ack_through(deliveries[-1])
