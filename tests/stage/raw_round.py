"""Raw pika over the links and queues of simulated agents: one message to all of them, and an answer of each, counted.

The agents' ends answer in the callback that pika calls, on a channel of their own, and ack once that is confirmed: no
code of Thwart's is between a message and its answer. The manager's end is a script, `URL COUNT`: each line of input is
one round, of which it prints when it began and when the last answer was there.

The message goes by the name of an allowlist of the manager's own, which the manager that runs beside it lets pass.
"""

import json
import os
import signal
import sys
import time
from collections import deque
from typing import Any

from pika.channel import Channel

from shared import codec, topology
from shared.broker import Consumer, Publisher
from shared.messages import Order
from shared.settings import BrokerSettings
from shared.topology import Queue
from tests.stage.raw_pika import LASTS, PREFETCH, Speaker, an_answer, properties

WORD = "raw"  # begins the ids of its messages, and the keys of the answers
QUEUE = "thwart.manager.raw"  # where the manager's login may have one
ACK = 100  # answers with one ack


def links(settings: BrokerSettings, agent_id: str, lock: Queue, queue: Queue) -> tuple[Publisher, Consumer]:
    """What an agent publishes and consumes with, which answers raw messages by itself."""
    publisher = _RawPublisher(
        settings, "publish", (*topology.exchanges(), *topology.manager_queues(settings.queue_type))
    )
    publisher.key, publisher.answer = f"{WORD}.{agent_id}", an_answer(agent_id)
    consumer = _RawConsumer(settings, "consume", (*topology.exchanges(), lock, queue), [queue.name])
    consumer.mouth = publisher
    return publisher, consumer


class _RawPublisher(Publisher):
    """With one more channel."""

    key: str
    answer: bytes
    raw: Channel

    async def opened(self) -> None:
        await super().opened()
        self.raw = await self.channel()
        self._owed: deque[tuple[Channel, int]] = deque()
        await self.ask(lambda done: self.raw.confirm_delivery(self._on_raw_confirm, callback=done))

    def say(self, channel: Channel, tag: int, message_id: str) -> None:
        """Answers the delivery `tag` of `channel`."""
        self._owed.append((channel, tag))
        sent = properties("acknowledgement", message_id, self._login)
        self.raw.basic_publish(topology.EVENTS, self.key, self.answer, sent, mandatory=True)

    def _on_raw_confirm(self, _: Any) -> None:
        channel, tag = self._owed.popleft()  # one at a time is on its way
        channel.basic_ack(tag)


class _RawConsumer(Consumer):
    """Passes raw messages on as they come."""

    mouth: _RawPublisher

    def _on_message(self, queue: str, number: int, channel: Channel, method: Any, properties: Any, body: bytes) -> None:
        if str(properties.message_id).startswith(WORD):
            self.mouth.say(channel, method.delivery_tag, properties.message_id)
        else:
            super()._on_message(queue, number, channel, method, properties, body)


class Teller(Speaker):
    """Publishes one message a round and counts the answers."""

    def __init__(self, url: str, count: int) -> None:
        super().__init__(url)
        self._count, self._heard, self._began = count, 0, 0.0
        self._body = _an_order()

    def ready(self) -> None:
        self.channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "classic"})
        self.channel.queue_bind(QUEUE, topology.EVENTS, f"{WORD}.*")
        self.channel.basic_qos(prefetch_count=PREFETCH)
        self.channel.basic_consume(QUEUE, self._on_answer, callback=lambda _: print("ready", flush=True))
        loop = self.connection.ioloop
        loop.add_handler(sys.stdin.fileno(), lambda *_: self._go(), loop.READ)

    def _go(self) -> None:
        if not os.read(sys.stdin.fileno(), 100):
            self.connection.ioloop.stop()
            return
        self._heard, self._began = 0, time.time()
        self.say(topology.ORDERS, "all", topology.POLICY, f"{WORD}-{self.said}", self._body)

    def _on_answer(self, channel: Channel, method: Any, _: Any, __: bytes) -> None:
        self._heard += 1
        if self._heard % ACK == 0 or self._heard == self._count:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if self._heard == self._count:
            print(json.dumps([self._began, time.time()]), flush=True)


def _an_order() -> bytes:
    """As long as the one that a person gives."""
    now = time.time()
    order = Order(
        id="0" * 32,
        operation="add",
        action="firewall-drop",
        location="all",
        target="203.0.113.200",
        timeout=LASTS,
        issued_at=now,
        deadline=now + LASTS,
        expires_at=now + LASTS,
        issuer="owner",
    )
    return codec.encode(order)


def main(url: str, count: str) -> None:
    """Until its input ends, or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Teller(url, int(count)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
