"""Takes messages off queues, and acks many at once."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pika.channel import Channel

from shared.broker.decoding import text
from shared.broker.envelope import Delivery
from shared.broker.link import Link
from shared.errors import BrokerError, Disconnected
from shared.settings import BrokerSettings
from shared.topology import Exchange, Queue


class Consumer(Link):
    """Takes messages off queues, each queue on a channel of its own, and hands them out in batches."""

    def __init__(
        self,
        settings: BrokerSettings,
        name: str,
        declarations: Sequence[Exchange | Queue],
        queues: Sequence[str],
        *,
        prefetch: int = 2_000,
    ) -> None:
        super().__init__(settings, name, declarations)
        self._queues, self._prefetch = queues, prefetch
        self._watched = frozenset(queues)
        self._arrived: dict[str, deque[Delivery]] = {queue: deque() for queue in queues}
        self._news: dict[str, asyncio.Event] = {queue: asyncio.Event() for queue in queues}
        self._by_queue: dict[str, Channel] = {}
        self._number = 0  # of the connection that the channels belong to, also while it is being made

    async def batch(self, queue: str, limit: int = 1_000) -> list[Delivery]:
        """Waits for a delivery of `queue`, then returns all that has arrived, at most `limit`.

        Nothing is acked by being returned. What is lost with its connection comes again on the next one.
        """
        arrived, news = self._arrived[queue], self._news[queue]
        while not arrived:
            news.clear()
            await news.wait()
        return [arrived.popleft() for _ in range(min(limit, len(arrived)))]

    def ack_through(self, delivery: Delivery) -> None:
        """Acks everything of its queue up to and including `delivery`; nothing if its connection is gone."""
        channel = self._by_queue.get(delivery.queue)
        if channel is not None and channel.is_open and delivery.connection == self._number:
            channel.basic_ack(delivery.tag, multiple=True)

    async def opened(self) -> None:
        self._forget_arrived()  # of a connection that was lost while it was being made
        self._number += 1
        for queue in self._queues:
            channel = await self.channel()
            channel.add_on_cancel_callback(lambda _, queue=queue: self._on_cancel(queue))
            await self.ask(partial(_qos, channel, self._prefetch))
            self._by_queue[queue] = channel
            await self.ask(partial(_consume, channel, queue, partial(self._on_message, queue, self._number)))

    def dropped(self, error: BrokerError) -> None:
        self._forget_arrived()

    def _forget_arrived(self) -> None:
        self._by_queue.clear()
        for arrived in self._arrived.values():
            arrived.clear()

    def _on_cancel(self, queue: str) -> None:
        # the queue was deleted or its leader moved: start over, which declares it anew
        self.drop(Disconnected(f"the broker ended the consumer of {queue}"))

    def _on_message(self, queue: str, number: int, _: Channel, method: Any, properties: Any, body: bytes) -> None:
        headers = properties.headers or {}
        self._arrived[queue].append(
            Delivery(
                body=body,
                exchange=method.exchange,
                routing_key=text(method.routing_key),
                kind=text(properties.type),
                message_id=text(properties.message_id),
                sender=text(properties.user_id),
                reason=text(headers.get("reason") or headers.get("x-first-death-reason")),
                detail=text(headers.get("detail")),
                died_in=text(headers.get("died-in") or headers.get("x-first-death-queue")),
                redelivered=method.redelivered,
                queue=queue,
                tag=method.delivery_tag,
                connection=number,
            )
        )
        self._news[queue].set()


def _qos(channel: Channel, prefetch: int, done: Callable[[Any], None]) -> None:
    channel.basic_qos(prefetch_count=prefetch, callback=done)


def _consume(channel: Channel, queue: str, on_message: Callable[..., None], done: Callable[[Any], None]) -> None:
    channel.basic_consume(queue, on_message, callback=done)
