"""One connection to a broker, made again whenever it is lost: what publishing and consuming have in common."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import pika
import structlog
import tenacity
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel
from pika.exceptions import AMQPError

from shared.broker.addresses import parameters
from shared.errors import BrokerError, Disconnected, LockHeld, TopologyMismatch
from shared.settings import BrokerSettings
from shared.topology import Exchange, Queue

SLOWEST_RETRY = 5.0  # s between two attempts to connect
PATIENCE = tenacity.wait_exponential(multiplier=0.05, max=SLOWEST_RETRY) + tenacity.wait_random(0, 0.5)
# s for one address: a node that hangs accepts connections and says nothing. For what it says each attempt has twice as
# long as the one before: where thousands come back at once, whoever gives up in the queue only makes it longer. A host
# that doesn't answer at all is tried again as soon as ever.
ADDRESS_LIMIT, LONGEST_LIMIT = 4.0, 64.0
NAMES_LIMIT = 15.0  # s more, for looking up their names
# s for each answer to what is declared then. That a broker hangs heartbeats tell much sooner; of one that is only busy
# with thousands of others nobody may despair: 5,000 who gave up after 15 s and began again were never all in.
ANSWER_LIMIT = 120.0
SHORT_LIVED = 1.0  # s: a connection that was lost sooner is followed by a pause, whatever ended it
PAUSE_AFTER_SHORT = 0.1, 0.3  # s, at least and at most
RESOURCE_LOCKED, PRECONDITION_FAILED, NOT_FOUND = 405, 406, 404

Said = TypeVar("Said")

log = structlog.get_logger()


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
        self._said = ""  # why it can't be used, as it was last logged
        self._lost: asyncio.Future[BrokerError] | None = None
        self._patience = ADDRESS_LIMIT  # s for an address, in the attempt to connect that is being made
        self._watched: frozenset[str] = frozenset()  # queues of which is to be known whether they were there
        self.connected = asyncio.Event()
        self.connections = 0  # made so far: the first connect makes it 1
        self.queues_made: frozenset[str] = frozenset()  # watched ones that connecting did not find
        self.lock_refused_since: float | None = None  # time.monotonic() of the first LockHeld in a row
        self.when_connected: Callable[[], None] = lambda: None  # called each time that a connection stands

    @property
    def heartbeat(self) -> float:
        """Seconds between two AMQP heartbeats; the longest, if its addresses differ."""
        return max(float(one.heartbeat) for one in self._parameters)

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
        self._patience, self.queues_made = ADDRESS_LIMIT, frozenset()
        async for attempt in attempts:
            with attempt:
                await self._connect()
            self._patience = min(2 * self._patience, LONGEST_LIMIT)
        self.connections += 1
        self.lock_refused_since, self._said = None, ""
        log.info("connected to the broker", action="broker_connected", link=self._name)
        self.connected.set()
        self.when_connected()

    def _say_why(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, LockHeld):
            self.lock_refused_since = self.lock_refused_since or time.monotonic()
        changed, self._said = str(error) != self._said, str(error)  # each reason once: a wrong login after no network
        say = log.warning if changed or isinstance(error, TopologyMismatch) else log.debug
        say("can't use the broker, trying again", action="broker_retry", link=self._name, error=str(error))

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(len(self._parameters) * self._patience + NAMES_LIMIT):
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
        raise Disconnected("; ".join(sorted(errors)))

    def _open(self, one: pika.URLParameters) -> "asyncio.Future[AsyncioConnection]":
        opening: asyncio.Future[AsyncioConnection] = asyncio.get_running_loop().create_future()
        one.socket_timeout, one.stack_timeout = ADDRESS_LIMIT, self._patience

        def opened(connection: AsyncioConnection) -> None:
            if opening.done():  # nobody waits for it any more, and nobody else would ever close it
                connection.close()
            resolve(opening, connection)

        AsyncioConnection(
            one,
            on_open_callback=opened,
            on_open_error_callback=lambda _, error: fail(opening, Disconnected(words(error))),
            on_close_callback=self._on_close,
            custom_ioloop=asyncio.get_running_loop(),
        )
        return opening

    def _on_close(self, connection: AsyncioConnection, error: BaseException) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        self.drop(Disconnected(words(error)))

    def drop(self, error: BrokerError) -> None:
        """Tells everybody who waits for the connection that it is of no use any more."""
        was_up = self.connected.is_set()
        self.connected.clear()
        self._channels.clear()
        for future in list(self._asked):
            fail(future, error)
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
        self.drop(Disconnected("closed"))
        if connection is None or not connection.is_open:
            return
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection.add_on_close_callback(lambda *_: resolve(closed, None))
        with suppress(AMQPError, TimeoutError):
            connection.close()
            await asyncio.wait_for(closed, timeout=2.0)

    # -- channels ------------------------------------------------------------------------------------------------

    async def channel(self) -> Channel:
        """A new channel, whose end is the connection's end: nothing here goes on with half of its channels."""
        channel = await self._channel_aside()
        channel.add_on_close_callback(self._on_channel_close)
        self._channels.append(channel)
        return channel

    async def _channel_aside(self) -> Channel:
        """A new channel that may be closed by a `no` of the broker's, and nothing else ends with it."""
        connection = self._connection
        if connection is None or not connection.is_open:
            raise Disconnected("not connected to the broker")
        channel: Channel = await self.ask(lambda done: connection.channel(on_open_callback=done))
        return channel

    def _on_channel_close(self, channel: Channel, reason: BaseException) -> None:
        if channel in self._channels:
            self.drop(_error_of(reason))

    async def ask(self, method: Callable[[Callable[[Any], None]], Any]) -> Any:
        """What the broker answers to `method(callback)`; fails with what closes the channel or connection."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            method(lambda result: resolve(answer, result))
        except (AMQPError, ValueError) as error:  # pika raises ValueError on what is closed already
            raise Disconnected(words(error)) from error
        return await self._answer(answer)

    async def _answer(self, answer: asyncio.Future[Said]) -> Said:
        """What it comes to; fails with what ends the connection, which while it is made is a long silence too."""
        self._asked.add(answer)
        try:
            # later on it may be an alarm, under which answers wait until it is over
            async with asyncio.timeout(None if self.connected.is_set() else ANSWER_LIMIT):
                return await answer
        except TimeoutError as error:
            raise Disconnected(f"the broker hasn't answered within {ANSWER_LIMIT:.0f} s") from error
        finally:
            self._asked.discard(answer)

    async def _declare(self) -> None:
        """All at once but for one answer at the end: where thousands come back together, each one would be a turn."""
        channel = await self.channel()
        queues = [each for each in self._declarations if isinstance(each, Queue) and each.name in self._watched]
        # and what an attempt before this one made, which failed
        self.queues_made |= {each.name for each in queues if not await self._exists(each)}
        for each in self._declarations:  # they are done in this order, and a `no` to one is the end of it
            if isinstance(each, Exchange):
                channel.exchange_declare(each.name, "topic", durable=True, arguments=each.arguments)
            else:
                _declare_queue(channel, each)
        await self.ask(lambda done: channel.basic_qos(callback=done))

    async def remove_queue(self, name: str, lock: Queue) -> None:
        """Deletes a queue and what is in it, while holding the lock of whoever consumes it. Twice is safe.

        Raises LockHeld when that one is connected, Disconnected.
        """
        channel = await self._channel_aside()
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        channel.add_on_close_callback(lambda _, reason: fail(answer, _error_of(reason)))
        try:
            channel.queue_declare(lock.name, exclusive=True, arguments=lock.arguments)
            channel.queue_delete(name)
            channel.queue_delete(lock.name, callback=lambda _: resolve(answer, None))  # the three go in this order
            await self._answer(answer)
            channel.close()
        except (AMQPError, ValueError) as error:
            raise Disconnected(words(error)) from error
        except Disconnected:
            await self._let_go(lock)
            raise

    async def _let_go(self, lock: Queue) -> None:
        """Whoever may not delete the queue has its lock by then, and would keep its agent out."""
        with suppress(BrokerError, AMQPError, ValueError):
            channel = await self._channel_aside()
            channel.queue_delete(lock.name)
            channel.close()

    async def _exists(self, queue: Queue) -> bool:
        """Asks on a channel of its own, which a `no` closes."""
        channel = await self._channel_aside()
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        channel.add_on_close_callback(lambda _, reason: resolve(answer, getattr(reason, "reply_code", 0) != NOT_FOUND))
        channel.queue_declare(queue.name, passive=True, callback=lambda _: resolve(answer, True))
        found = await self._answer(answer)
        if channel.is_open:
            channel.close()
        return found


def _declare_queue(channel: Channel, queue: Queue) -> None:
    channel.queue_declare(queue.name, durable=not queue.exclusive, exclusive=queue.exclusive, arguments=queue.arguments)
    for exchange, key in queue.bindings:
        channel.queue_bind(queue.name, exchange, key)
    for exchange, key in queue.unbound:
        channel.queue_unbind(queue.name, exchange, key)


def _error_of(reason: BaseException) -> BrokerError:
    """What the end of a channel means."""
    code = getattr(reason, "reply_code", 0)
    if code == RESOURCE_LOCKED:
        return LockHeld(words(reason))
    if code == PRECONDITION_FAILED:
        return TopologyMismatch(
            f"{words(reason)}: it was declared with other arguments; delete it once it is empty, "
            "or set broker.queue_type to what it was made with"
        )
    return Disconnected(words(reason))


def words(error: BaseException) -> str:
    """What went wrong, without the errors that pika wraps it in."""
    while inner := _inside(error):
        error = inner[-1]
    return getattr(error, "strerror", None) or str(error) or repr(error)


def _inside(error: BaseException) -> list[BaseException]:
    wrapped = [*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args]
    return [each for each in wrapped if isinstance(each, BaseException)]


def resolve(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
