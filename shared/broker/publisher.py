"""Sends with confirms, many at once."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pika
import structlog
import tenacity
from pika.channel import Channel
from pika.exceptions import AMQPError

from shared.broker.envelope import Publication
from shared.broker.link import PATIENCE, Link, fail, resolve, words
from shared.codec import CONTENT_TYPE
from shared.errors import BrokerError, Disconnected, Refused, Unroutable
from shared.settings import BrokerSettings
from shared.topology import Exchange, Queue

LONGEST_EXPIRATION = 2**32 - 1  # ms, some 50 days: what every version of RabbitMQ takes
NEVER = float("-inf")

_Sent = tuple[Publication, asyncio.Future[None], float]  # with time.monotonic() when it set out

log = structlog.get_logger()


class Publisher(Link):
    """Sends with confirms, many at once."""

    def __init__(self, settings: BrokerSettings, name: str, declarations: Sequence[Exchange | Queue]) -> None:
        super().__init__(settings, name, declarations)
        self._channel: Channel | None = None
        self._login = ""  # of the present connection
        self._next_tag = 1
        self._unconfirmed: dict[int, _Sent] = {}  # by delivery tag, oldest first
        self._returned: set[int] = set()
        self.reached_at = NEVER  # time.monotonic() when the latest message set out that the broker has answered
        self._writable = asyncio.Event()

    def send(self, publication: Publication) -> asyncio.Future[None]:
        """Done when the broker has taken the message to its queues.

        Fails with Unroutable, Refused, or Disconnected (it may or may not have arrived). Never blocks: who sends
        many waits for `writable` first and bounds what is on its way.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._channel is None or not self._channel.is_open:
            future.set_exception(Disconnected("not connected to the broker"))
            return future
        try:
            self._channel.basic_publish(
                publication.exchange,
                publication.routing_key,
                publication.body,
                _properties(publication, self._login),
                mandatory=not publication.transient,
            )
        except (AMQPError, ValueError) as error:
            future.set_exception(Disconnected(words(error)))
            return future
        self._unconfirmed[self._next_tag] = (publication, future, time.monotonic())
        self._next_tag += 1
        return future

    async def publish(self, publication: Publication) -> None:
        """Sends one and waits for its confirm. Raises as `send` fails."""
        await self.send(publication)

    async def insist(self, publication: Publication) -> None:
        """Sends one again and again until the broker has confirmed it. Raises Unroutable."""
        attempts = tenacity.AsyncRetrying(
            wait=PATIENCE,
            retry=tenacity.retry_if_exception_type((Disconnected, Refused)),
        )
        async for attempt in attempts:
            with attempt:
                await self.writable()
                await self.send(publication)

    async def writable(self) -> None:
        """Returns when connected and not blocked by an alarm of the broker's."""
        await self._writable.wait()

    @property
    def blocked(self) -> bool:
        """True while the broker takes nothing because its disk or memory is short."""
        return self.connected.is_set() and not self._writable.is_set()

    async def opened(self) -> None:
        channel = await self.channel()
        channel.add_on_return_callback(self._on_return)
        await self.ask(lambda done: channel.confirm_delivery(self._on_confirm, callback=done))
        connection = channel.connection
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(lambda *_: self._writable.set())
        self._login = connection.params.credentials.username
        self._channel, self._next_tag = channel, 1
        self._writable.set()

    def dropped(self, error: BrokerError) -> None:
        self._writable.clear()
        self._channel = None
        self._returned.clear()
        waiting, self._unconfirmed = self._unconfirmed, {}
        for _, future, _ in waiting.values():
            fail(future, error)

    def _on_blocked(self, *_: Any) -> None:
        self._writable.clear()
        log.warning("the broker takes no messages: its disk or memory is short", action="broker_blocked")

    def _on_return(self, _: Channel, method: Any, properties: Any, __: bytes) -> None:
        # a return comes before its confirm and names no tag: it is the oldest one on its way that looks like it
        for tag, (publication, *_) in self._unconfirmed.items():
            looks = (publication.exchange, publication.routing_key, publication.message_id)
            if tag not in self._returned and looks == (method.exchange, method.routing_key, properties.message_id):
                self._returned.add(tag)
                return

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        refused = isinstance(method, pika.spec.Basic.Nack)
        tags = self._through(method.delivery_tag) if method.multiple else [method.delivery_tag]
        for tag in tags:
            publication, future, sent_at = self._unconfirmed.pop(tag)
            self.reached_at = max(self.reached_at, sent_at)  # not every confirm comes in its turn
            if tag in self._returned:
                self._returned.discard(tag)
                fail(future, Unroutable(f"no queue takes {publication.routing_key} on {publication.exchange}"))
            elif refused:
                fail(future, Refused(f"the broker refused {publication.routing_key} on {publication.exchange}"))
            else:
                resolve(future, None)

    def _through(self, last: int) -> list[int]:
        tags = []
        for tag in self._unconfirmed:  # in order of sending
            if tag > last:
                break
            tags.append(tag)
        return tags


def _properties(publication: Publication, login: str) -> pika.BasicProperties:
    now = time.time()
    grave = {"reason": publication.reason, "detail": publication.detail, "died-in": publication.died_in}
    left = None if publication.expires_at is None else _expiration(publication.expires_at - now)
    return pika.BasicProperties(
        content_type=CONTENT_TYPE,
        type=publication.kind,
        message_id=publication.message_id,
        timestamp=int(now),
        app_id="thwart",
        delivery_mode=1 if publication.transient else 2,
        expiration=None if left is None else str(left),
        user_id=login,  # the broker takes no other, so that whoever reads it knows who spoke
        headers={name: said for name, said in grave.items() if said} or None,
    )


def _expiration(left: float) -> int:
    """Whole ms. One that is too long would end the channel, and so would every try to send the message again."""
    return min(max(0, round(left * 1_000)), LONGEST_EXPIRATION)
