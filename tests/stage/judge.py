"""Listens from outside to everything that is said about orders, in a queue of its own; it asks neither side."""

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from shared import codec, topology
from shared.broker import Consumer, Delivery
from shared.errors import MessageError
from shared.messages import Acknowledgement, Expiry, Heartbeat, Message, Order, Policy
from shared.settings import BrokerSettings
from tests.stage import enter
from tests.waiting import wait_for

Kind = TypeVar("Kind", bound=Message)
KINDS: dict[str, type[Message]] = {"order": Order, "acknowledgement": Acknowledgement, "expiry": Expiry}
KINDS |= {"heartbeat": Heartbeat, topology.POLICY: Policy}


class Judge:
    """Hears from the moment it is made until `close`; in the order in which the broker sent it."""

    def __init__(self, url: str, network: Path | None = None, *, lasting: bool = False) -> None:
        """Connects to the broker at `url`, from the network namespace `network`; returns when it hears.

        One that is `lasting` misses nothing while the broker is away, and leaves its queue behind.
        """
        self._url, self._network, self._lasting = url, network, lasting
        self.queue = f"thwart.judge.{secrets.token_hex(4)}"
        self._heard: list[tuple[float, Message]] = []
        self._listening = threading.Event()
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="judge", daemon=True)
        self._thread.start()
        if not self._listening.wait(20):
            raise AssertionError("the judge could not reach the broker within 20 s")

    @property
    def orders(self) -> list[Order]:
        """Each once, however many keys it was published under."""
        return list({order.id: order for order in self.heard(Order)}.values())

    def heard(self, kind: type[Kind]) -> list[Kind]:
        """What has been said so far of one kind."""
        return [message for _, message in self.record() if isinstance(message, kind)]

    def record(self, since: int = 0) -> list[tuple[float, Message]]:
        """All that has been said so far, with the instant at which it was heard, from the message number `since` on."""
        return self._heard[since:]

    def next(self, kind: type[Message], within: float) -> bool:
        """Returns as soon as one of this kind is heard after the call; False after `within` seconds without."""
        before = len(self._heard)
        with self._news:
            return self._news.wait_for(lambda: any(isinstance(each, kind) for _, each in self.record(before)), within)

    def wait(self, enough: Callable[[], Sequence[Kind]], count: int, within: float) -> list[Kind]:
        """What `enough` finds once that is `count` or more. Raises AssertionError after `within` seconds."""
        wait_for(lambda: len(enough()) >= count, within)
        return list(enough())

    def close(self) -> None:
        """Hears nothing more."""
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(5)

    def _run(self) -> None:
        if self._network:
            enter.set_network(self._network)
        with suppress(asyncio.CancelledError):
            asyncio.run(self._listen())

    async def _listen(self) -> None:
        bindings = ((topology.ORDERS, "#"), (topology.EVENTS, "#"))
        queue = topology.Queue(name=self.queue, bindings=bindings, exclusive=not self._lasting)
        consumer = Consumer(BrokerSettings(urls=(self._url,)), "judge", [*topology.exchanges(), queue], [queue.name])
        self._loop, self._task = asyncio.get_running_loop(), asyncio.create_task(consumer.run())
        taking = asyncio.create_task(self._take(consumer, queue.name))
        try:
            await consumer.connected.wait()
            self._listening.set()
            await self._task
        finally:
            taking.cancel()

    async def _take(self, consumer: Consumer, queue: str) -> None:
        while True:
            batch = await consumer.batch(queue)
            at = time.time()
            with self._news:
                self._heard += [(at, message) for message in map(_message, batch) if message]
                self._news.notify_all()
            consumer.ack_through(batch[-1])


def _message(delivery: Delivery) -> Message | None:
    """None for what is no message of ours, or none at all."""
    kind = KINDS.get(delivery.kind)
    with suppress(MessageError):
        return codec.decode(delivery.body, kind) if kind else None
    return None
