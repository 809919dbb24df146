"""RabbitMQ: the only module that imports pika. Connections that come back, pipelined confirms, batched consuming.

Publishing and consuming have a connection each: a broker under a memory or disk alarm blocks connections that
publish, and acks must not hang with them. Everything here belongs to one asyncio loop.
"""

import asyncio
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pika
import pika.data
import structlog
import tenacity
from msgspec import Struct
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel
from pika.exceptions import AMQPError

from shared.codec import CONTENT_TYPE
from shared.errors import BrokerError, Disconnected, LockHeld, Refused, SettingsError, TopologyMismatch, Unroutable
from shared.settings import BrokerSettings
from shared.topology import Exchange, Queue

HEARTBEAT = 10  # s
SLOWEST_RETRY = 5.0  # s between two attempts to connect
PATIENCE = tenacity.wait_exponential(multiplier=0.05, max=SLOWEST_RETRY) + tenacity.wait_random(0, 0.5)
CONNECT_LIMIT = 15.0  # s for one attempt at all addresses, the declarations included
ADDRESS_LIMIT = 4.0  # s for one address: a node that hangs accepts connections and says nothing
SHORT_LIVED = 1.0  # s: a connection that was lost sooner is followed by a pause, whatever ended it
PAUSE_AFTER_SHORT = 0.1, 0.3  # s, at least and at most
SHORT_STRING = 255  # bytes of a routing key, type or id
LONGEST_EXPIRATION = 2**32 - 1  # ms, some 50 days: what every version of RabbitMQ takes
RESOURCE_LOCKED, PRECONDITION_FAILED, NOT_FOUND = 405, 406, 404

log = structlog.get_logger()


class Publication(Struct, frozen=True, kw_only=True):
    """A message on its way out."""

    exchange: str
    routing_key: str
    kind: str  # the AMQP `type`: order, acknowledgement, …
    message_id: str
    body: bytes
    expires_at: float | None = None  # Unix seconds; what is left then is the message's `expiration`
    reason: str = ""  # of a dead letter
    transient: bool = False  # a heartbeat: lost with the broker, and nobody minds if no queue takes it


class Delivery(Struct, frozen=True, kw_only=True):
    """A message that came in."""

    body: bytes
    exchange: str
    routing_key: str
    kind: str
    message_id: str
    reason: str
    redelivered: bool
    queue: str
    tag: int
    connection: int  # which connection it came on; an ack on another one would be wrong


def parameters(settings: BrokerSettings) -> list[pika.URLParameters]:
    """pika's parameters for each broker address. Raises SettingsError for what is no AMQP URL."""
    return [_parameters(url, settings) for url in settings.urls]


def _parameters(url: str, settings: BrokerSettings) -> pika.URLParameters:
    try:
        if not url.startswith(("amqp://", "amqps://")):
            raise ValueError("another scheme")  # pika would try it
        one = pika.URLParameters(url)
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError("broker.urls: not an AMQP URL; write amqp://user:password@host:5672/vhost") from error
    if url.startswith("amqps:"):
        one.ssl_options = pika.SSLOptions(_tls(settings), one.host)
    one.heartbeat = HEARTBEAT
    one.connection_attempts = 1  # tenacity does the retrying, over all addresses
    one.socket_timeout = one.stack_timeout = ADDRESS_LIMIT
    return one


def _tls(settings: BrokerSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.certificate_file:
            context.load_cert_chain(settings.certificate_file, settings.key_file or None)
    except OSError as error:  # ssl.SSLError, for a file that holds something else, is one
        named = ", ".join(filter(None, (settings.ca_file, settings.certificate_file, settings.key_file)))
        raise SettingsError(f"broker: can't use {named}: {error.strerror or error}; PEM files are needed") from error
    return context


class Link:
    """One connection, made again whenever it is lost; `declare` runs on each before anything else does.

    What pika calls back with is turned into futures, all of which fail with a BrokerError when the connection goes.
    """

    def __init__(self, settings: BrokerSettings, name: str, declarations: Sequence[Exchange | Queue]) -> None:
        self._parameters = parameters(settings)
        self._declarations = declarations
        self._name = name
        self._connection: AsyncioConnection | None = None
        self._channels: list[Channel] = []
        self._asked: set[asyncio.Future[Any]] = set()
        self._lost: asyncio.Future[BrokerError] | None = None
        self.connected = asyncio.Event()
        self.connections = 0  # made so far: the first connect makes it 1
        self.queues_made: frozenset[str] = frozenset()  # that the present connection did not find
        self.lock_refused_since: float | None = None  # time.monotonic() of the first LockHeld in a row
        self.when_connected: Callable[[], None] = lambda: None  # called each time that a connection stands

    async def run(self) -> None:
        """Keeps the connection up until cancelled, then closes it."""
        try:
            while True:
                await self._connect_until_it_works()
                since = time.monotonic()
                error = await self._until_lost()
                log.warning("lost the broker", action="broker_lost", link=self._name, error=str(error))
                if time.monotonic() - since < SHORT_LIVED:
                    await asyncio.sleep(random.uniform(*PAUSE_AFTER_SHORT))  # noqa: S311  # not for security
        finally:
            await self._close()

    async def opened(self) -> None:
        """Hook: a new connection stands and everything is declared; `connected` is set after it."""

    def dropped(self, error: BrokerError) -> None:
        """Hook: the connection is gone."""

    async def _connect_until_it_works(self) -> None:
        attempts = tenacity.AsyncRetrying(
            wait=PATIENCE,
            retry=tenacity.retry_if_exception_type(BrokerError),
            before_sleep=self._say_why,
        )
        async for attempt in attempts:
            with attempt:
                await self._connect()
        self.connections += 1
        self.lock_refused_since = None
        log.info("connected to the broker", action="broker_connected", link=self._name)
        self.connected.set()
        self.when_connected()

    def _say_why(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, LockHeld):
            self.lock_refused_since = self.lock_refused_since or time.monotonic()
        say = log.warning if state.attempt_number == 1 or isinstance(error, TopologyMismatch) else log.debug
        say("can't use the broker, trying again", action="broker_retry", link=self._name, error=str(error))

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                self._connection = await self._open_first_that_answers()
                self._lost = asyncio.get_running_loop().create_future()
                await self._declare()
                await self.opened()
        except (TimeoutError, BrokerError, AMQPError, ValueError) as error:
            await self._close()
            if isinstance(error, BrokerError):
                raise
            raise Disconnected(f"the broker doesn't answer as one: {error!r}") from error

    async def _open_first_that_answers(self) -> AsyncioConnection:
        errors = []
        for one in random.sample(self._parameters, len(self._parameters)):
            try:
                return await self._open(one)
            except BrokerError as error:
                errors.append(f"{one.host}:{one.port}: {error}")
        raise Disconnected("; ".join(errors))

    def _open(self, one: pika.URLParameters) -> "asyncio.Future[AsyncioConnection]":
        opening: asyncio.Future[AsyncioConnection] = asyncio.get_running_loop().create_future()

        def opened(connection: AsyncioConnection) -> None:
            if opening.done():  # nobody waits for it any more, and nobody else would ever close it
                connection.close()
            _resolve(opening, connection)

        AsyncioConnection(
            one,
            on_open_callback=opened,
            on_open_error_callback=lambda _, error: _fail(opening, Disconnected(_words(error))),
            on_close_callback=self._on_close,
            custom_ioloop=asyncio.get_running_loop(),
        )
        return opening

    def _on_close(self, connection: AsyncioConnection, error: BaseException) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        self._drop(Disconnected(_words(error)))

    def _drop(self, error: BrokerError) -> None:
        """Tells everybody who waits for the connection that it is of no use any more."""
        was_up = self.connected.is_set()
        self.connected.clear()
        self._channels.clear()
        for future in list(self._asked):
            _fail(future, error)
        if self._lost and not self._lost.done():
            self._lost.set_result(error)
        if was_up:
            self.dropped(error)

    async def _until_lost(self) -> BrokerError:
        assert self._lost is not None  # noqa: S101  # set by _connect
        error = await self._lost
        await self._close()
        return error

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._drop(Disconnected("closed"))
        if connection is None or not connection.is_open:
            return
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection.add_on_close_callback(lambda *_: _resolve(closed, None))
        with suppress(AMQPError, TimeoutError):
            connection.close()
            await asyncio.wait_for(closed, timeout=2.0)

    # -- channels ------------------------------------------------------------------------------------------------

    async def channel(self) -> Channel:
        """A new channel, whose end is the connection's end: nothing here goes on with half of its channels."""
        connection = self._connection
        if connection is None or not connection.is_open:
            raise Disconnected("not connected")
        channel: Channel = await self._ask(lambda done: connection.channel(on_open_callback=done))
        channel.add_on_close_callback(self._on_channel_close)
        self._channels.append(channel)
        return channel

    def _on_channel_close(self, channel: Channel, reason: BaseException) -> None:
        if channel in self._channels:
            self._drop(_error_of(reason))

    async def _ask(self, method: Callable[[Callable[[Any], None]], Any]) -> Any:
        """What the broker answers to `method(callback)`; fails with what closes the channel or connection."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.add(answer)
        try:
            method(lambda result: _resolve(answer, result))
            return await answer
        except (AMQPError, ValueError) as error:  # pika raises ValueError on what is closed already
            raise Disconnected(_words(error)) from error
        finally:
            self._asked.discard(answer)

    async def _declare(self) -> None:
        channel = await self.channel()
        queues = [each for each in self._declarations if isinstance(each, Queue)]
        self.queues_made = frozenset([q.name for q in queues if not q.exclusive and not await self._exists(q)])
        for each in self._declarations:
            if isinstance(each, Exchange):
                await self._ask(partial(_exchange_declare, channel, each))
            else:
                await self._declare_queue(channel, each)

    async def _declare_queue(self, channel: Channel, queue: Queue) -> None:
        await self._ask(
            lambda done: channel.queue_declare(
                queue.name,
                durable=not queue.exclusive,
                exclusive=queue.exclusive,
                arguments=queue.arguments,
                callback=done,
            )
        )
        for exchange, key in queue.bindings:
            await self._ask(partial(_queue_bind, channel, queue.name, exchange, key))

    async def _exists(self, queue: Queue) -> bool:
        """Asks on a channel of its own, which a `no` closes."""
        connection = self._connection
        if connection is None:
            raise Disconnected("not connected")
        channel: Channel = await self._ask(lambda done: connection.channel(on_open_callback=done))
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        channel.add_on_close_callback(lambda _, reason: _resolve(answer, getattr(reason, "reply_code", 0) != NOT_FOUND))
        self._asked.add(answer)
        try:
            channel.queue_declare(queue.name, passive=True, callback=lambda _: _resolve(answer, True))
            found = await answer
        finally:
            self._asked.discard(answer)
        if channel.is_open:
            channel.close()
        return found


class Publisher(Link):
    """Sends with confirms, many at once."""

    def __init__(self, settings: BrokerSettings, name: str, declarations: Sequence[Exchange | Queue]) -> None:
        super().__init__(settings, name, declarations)
        self._channel: Channel | None = None
        self._next_tag = 1
        self._unconfirmed: dict[int, tuple[Publication, asyncio.Future[None]]] = {}  # by delivery tag, oldest first
        self._returned: set[int] = set()
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
                _properties(publication),
                mandatory=not publication.transient,
            )
        except (AMQPError, ValueError) as error:
            future.set_exception(Disconnected(_words(error)))
            return future
        self._unconfirmed[self._next_tag] = (publication, future)
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
        await self._ask(lambda done: channel.confirm_delivery(self._on_confirm, callback=done))
        connection = channel.connection
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(lambda *_: self._writable.set())
        self._channel, self._next_tag = channel, 1
        self._writable.set()

    def dropped(self, error: BrokerError) -> None:
        self._writable.clear()
        self._channel = None
        self._returned.clear()
        waiting, self._unconfirmed = self._unconfirmed, {}
        for _, future in waiting.values():
            _fail(future, error)

    def _on_blocked(self, *_: Any) -> None:
        self._writable.clear()
        log.warning("the broker takes no messages: its disk or memory is short", action="broker_blocked")

    def _on_return(self, _: Channel, method: Any, properties: Any, __: bytes) -> None:
        # a return comes before its confirm and names no tag: it is the oldest one on its way that looks like it
        for tag, (publication, _future) in self._unconfirmed.items():
            looks = (publication.exchange, publication.routing_key, publication.message_id)
            if tag not in self._returned and looks == (method.exchange, method.routing_key, properties.message_id):
                self._returned.add(tag)
                return

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        refused = isinstance(method, pika.spec.Basic.Nack)
        tags = self._through(method.delivery_tag) if method.multiple else [method.delivery_tag]
        for tag in tags:
            publication, future = self._unconfirmed.pop(tag)
            if tag in self._returned:
                self._returned.discard(tag)
                _fail(future, Unroutable(f"no queue takes {publication.routing_key} on {publication.exchange}"))
            elif refused:
                _fail(future, Refused(f"the broker refused {publication.routing_key} on {publication.exchange}"))
            else:
                _resolve(future, None)

    def _through(self, last: int) -> list[int]:
        tags = []
        for tag in self._unconfirmed:  # in order of sending
            if tag > last:
                break
            tags.append(tag)
        return tags


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
            await self._ask(partial(_qos, channel, self._prefetch))
            self._by_queue[queue] = channel
            await self._ask(partial(_consume, channel, queue, partial(self._on_message, queue, self._number)))

    def dropped(self, error: BrokerError) -> None:
        self._forget_arrived()

    def _forget_arrived(self) -> None:
        self._by_queue.clear()
        for arrived in self._arrived.values():
            arrived.clear()

    def _on_cancel(self, queue: str) -> None:
        # the queue was deleted or its leader moved: start over, which declares it anew
        self._drop(Disconnected(f"the broker ended the consumer of {queue}"))

    def _on_message(self, queue: str, number: int, _: Channel, method: Any, properties: Any, body: bytes) -> None:
        headers = properties.headers or {}
        self._arrived[queue].append(
            Delivery(
                body=body,
                exchange=method.exchange,
                routing_key=_text(method.routing_key),
                kind=_text(properties.type),
                message_id=_text(properties.message_id),
                reason=_text(headers.get("reason") or headers.get("x-first-death-reason")),
                redelivered=method.redelivered,
                queue=queue,
                tag=method.delivery_tag,
                connection=number,
            )
        )
        self._news[queue].set()


def _exchange_declare(channel: Channel, exchange: Exchange, done: Callable[[Any], None]) -> None:
    channel.exchange_declare(exchange.name, "topic", durable=True, arguments=exchange.arguments, callback=done)


def _queue_bind(channel: Channel, queue: str, exchange: str, key: str, done: Callable[[Any], None]) -> None:
    channel.queue_bind(queue, exchange, key, callback=done)


def _qos(channel: Channel, prefetch: int, done: Callable[[Any], None]) -> None:
    channel.basic_qos(prefetch_count=prefetch, callback=done)


def _consume(channel: Channel, queue: str, on_message: Callable[..., None], done: Callable[[Any], None]) -> None:
    channel.basic_consume(queue, on_message, callback=done)


def _properties(publication: Publication) -> pika.BasicProperties:
    now = time.time()
    left = None if publication.expires_at is None else _expiration(publication.expires_at - now)
    return pika.BasicProperties(
        content_type=CONTENT_TYPE,
        type=publication.kind,
        message_id=publication.message_id,
        timestamp=int(now),
        app_id="thwart",
        delivery_mode=1 if publication.transient else 2,
        expiration=None if left is None else str(left),
        headers={"reason": publication.reason} if publication.reason else None,
    )


def _expiration(left: float) -> int:
    """Whole ms. One that is too long would end the channel, and so would every try to send the message again."""
    return min(max(0, round(left * 1_000)), LONGEST_EXPIRATION)


def _text(value: object) -> str:
    """What a sender wrote as text; pika hands out bytes when it is not UTF-8. It still fits into a short string."""
    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")[:SHORT_STRING]
    return str(value or "")


def _error_of(reason: BaseException) -> BrokerError:
    """What the end of a channel means."""
    code = getattr(reason, "reply_code", 0)
    if code == RESOURCE_LOCKED:
        return LockHeld(_words(reason))
    if code == PRECONDITION_FAILED:
        return TopologyMismatch(
            f"{_words(reason)}: it was declared with other arguments; delete it once it is empty, "
            "or set broker.queue_type to what it was made with"
        )
    return Disconnected(_words(reason))


def _words(error: BaseException) -> str:
    return str(error) or repr(error)


def _decode_value(encoded: bytes, offset: int) -> tuple[Any, int]:
    """pika's, but that a date or number that Python can't hold is None.

    pika raises in the middle of its input, which ends the connection; the broker delivers the message again on the
    next one, and so for ever.
    """
    try:
        value, after = _PIKA_DECODES(encoded, offset)
        return value, after
    except (ValueError, OverflowError, OSError):
        return None, offset + 1 + _WIDTHS[encoded[offset : offset + 1]]


_PIKA_DECODES = pika.data.decode_value
_WIDTHS = {b"T": 8, b"d": 8, b"f": 4}  # bytes that these kinds of value take; no other kind can fail that way
pika.data.decode_value = _decode_value


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
