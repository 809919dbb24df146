"""Raw pika: a publisher of orders as fast as the broker confirms them, and an answerer that does nothing but answer.

A script, so that it runs on a host of the stage: `feed URL KEY FIRST COUNT`, or `answer URL QUEUE KEY SIZE`.
"""

import json
import signal
import sys
import time
from typing import Any

import pika
from pika.channel import Channel

from shared import codec, topology
from shared.messages import Acknowledgement, Order
from tests.stage.auth_log import address

WINDOW = 1_000  # confirms on their way
PREFETCH = 2_000  # as the agent's
LASTS = 3_600.0  # s


class Speaker:
    """A connection with one channel in confirm mode."""

    def __init__(self, url: str) -> None:
        self.said = self.confirmed = 0
        self.connection = pika.SelectConnection(pika.URLParameters(url), on_open_callback=self._opened)

    def run(self) -> None:
        """Until `connection.ioloop.stop()`."""
        self.connection.ioloop.start()

    def say(self, exchange: str, key: str, kind: str, message_id: str, body: bytes) -> None:
        sent = properties(kind, message_id, self.connection.params.credentials.username)
        self.channel.basic_publish(exchange, key, body, sent, mandatory=True)
        self.said += 1

    def ready(self) -> None:
        """The channel is open."""

    def heard(self) -> None:
        """`confirmed` has grown."""

    def _opened(self, connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Channel) -> None:
        self.channel = channel
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self.ready())

    def _on_confirm(self, frame: Any) -> None:
        # Confirms of single messages may overtake each other, of which nobody here has to know.
        self.confirmed = max(self.confirmed, frame.method.delivery_tag)
        self.heard()


class Feeder(Speaker):
    """Publishes `count` orders. Prints that it is ready, begins on a line of input, prints when it began and ended."""

    def __init__(self, url: str, key: str, first: int, count: int) -> None:
        super().__init__(url)
        self._key = key
        self._orders = [_order(key, number) for number in range(first, first + count)]

    def ready(self) -> None:
        print("ready", flush=True)
        sys.stdin.readline()
        self._began = time.time()
        self.heard()

    def heard(self) -> None:
        while self.said < len(self._orders) and self.said - self.confirmed < WINDOW:
            order_id, body = self._orders[self.said]
            self.say(topology.ORDERS, self._key, "order", order_id, body)
        if self.confirmed == len(self._orders):
            print(json.dumps([self._began, time.time()]), flush=True)
            self.connection.ioloop.stop()


class Answerer(Speaker):
    """Answers each message with `size` bytes, and acks when its answer is confirmed, as many at once as are."""

    def __init__(self, url: str, queue: str, key: str, size: int) -> None:
        super().__init__(url)
        self._queue, self._key, self._answer = queue, key, b"x" * size

    def ready(self) -> None:
        self.channel.basic_qos(prefetch_count=PREFETCH)
        self.channel.basic_consume(self._queue, self._on_message)

    def heard(self) -> None:
        self.channel.basic_ack(self.confirmed, multiple=True)  # the n-th answer is the n-th delivery's

    def _on_message(self, _: Channel, __: Any, properties: pika.BasicProperties, ___: bytes) -> None:
        self.say(topology.EVENTS, self._key, "acknowledgement", str(properties.message_id), self._answer)


def properties(kind: str, message_id: str, login: str) -> pika.BasicProperties:
    """Those of Thwart's own messages."""
    return pika.BasicProperties(
        content_type=codec.CONTENT_TYPE,
        type=kind,
        message_id=message_id,
        timestamp=int(time.time()),
        app_id="thwart",
        delivery_mode=2,
        user_id=login,
    )


def an_answer(agent_id: str, order_id: str = "0" * 32) -> bytes:
    """As long as one that an agent gives."""
    now = time.time()
    said = Acknowledgement(
        order_id=order_id,
        agent_id=agent_id,
        status="applied",
        detail="new",
        received_at=now,
        settled_at=now,
        expires_at=now + LASTS,
    )
    return codec.encode(said)


def _order(key: str, number: int) -> tuple[str, bytes]:
    now = time.time()
    order = Order(
        id=f"{number:032x}",
        operation="add",
        action="firewall-drop",
        location="agent",
        agents=(key.removeprefix("agent."),),
        target=address(number),
        timeout=LASTS,
        issued_at=now,
        deadline=now + LASTS,
        expires_at=now + LASTS,
        response="firewall-drop of rule 5712",
        rule_id="5712",
        reason="sshd: brute force trying to get access to the system",
        issuer="manager",
    )
    return order.id, codec.encode(order)


def main(what: str, url: str, *words: str) -> None:
    """Until it is done, or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if what == "feed":
        key, first, count = words
        Feeder(url, key, int(first), int(count)).run()
    else:
        queue, key, size = words
        Answerer(url, queue, key, int(size)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
