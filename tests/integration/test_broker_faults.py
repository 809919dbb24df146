"""What a sender, a hung node or an odd message does to a connection: nothing that the next message would notice."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pika
import pika.data
import pytest
from structlog.testing import capture_logs

from shared import topology
from shared.broker import Consumer, Link, Publication, Publisher
from shared.broker.addresses import parameters
from shared.errors import SettingsError
from shared.settings import BrokerSettings
from shared.topology import Queue
from tests.stage.broker import Broker

pytestmark = pytest.mark.broker

INBOX = Queue(name="inbox", bindings=((topology.LOGS, "log.*"),))
OTHER = Queue(name="other")
DECLARATIONS = (*topology.exchanges(), INBOX, OTHER)
ENDLESS = b"T" + struct.pack(">Q", 2**62)  # a date far behind the last one that Python knows


@asynccontextmanager
async def running(*links: Link) -> AsyncIterator[None]:
    """The links, connected."""
    tasks = [asyncio.create_task(link.run()) for link in links]
    async with asyncio.timeout(20):
        await asyncio.gather(*(link.connected.wait() for link in links))
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def stranger(broker: Broker) -> Iterator[Any]:
    """A channel of somebody else's program."""
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    yield connection.channel()
    connection.close()


async def test_a_date_that_python_cannot_hold_does_not_end_the_connection(broker, stranger, monkeypatch):
    """A message with an absurd header is delivered like any other, and so is the next one."""
    consumer = Consumer(broker.settings, "test", DECLARATIONS, [INBOX.name])
    async with running(consumer):
        with monkeypatch.context() as patched:
            patched.setattr(pika.data, "encode_value", _raw)
            headers = {"reason": "odd", "when": ENDLESS}
            stranger.basic_publish(topology.LOGS, "log.a", b"first", pika.BasicProperties(headers=headers))
        stranger.basic_publish(topology.LOGS, "log.a", b"second")
        first, second = await _take(consumer, 2)
        assert (first.body, first.reason, second.body) == (b"first", "odd", b"second")
        assert consumer.connections == 1


async def test_what_is_no_utf_8_comes_as_escaped_text(broker, stranger):
    """Routing key, type, id and reason are text whatever the sender wrote, so that their readers need not look."""
    consumer = Consumer(broker.settings, "test", DECLARATIONS, [INBOX.name])
    async with running(consumer):
        odd = pika.BasicProperties(type=b"\xff", message_id=b"\xfe", headers={"reason": b"\xfd"})
        stranger.basic_publish(topology.LOGS, b"log.\xff", b"", odd)
        (delivery,) = await _take(consumer, 1)
        found = (delivery.routing_key, delivery.kind, delivery.message_id, delivery.reason)
        assert found == ("log.\\xff", "\\xff", "\\xfe", "\\xfd")


async def test_what_is_no_utf_8_can_be_passed_on(broker, stranger):
    """The longest key that a sender can write is still one when it is escaped, so that it can be dead-lettered."""
    consumer = Consumer(broker.settings, "test", DECLARATIONS, [INBOX.name])
    publisher = Publisher(broker.settings, "test", DECLARATIONS)
    async with running(consumer, publisher):
        stranger.basic_publish(topology.LOGS, b"log." + b"\xff" * 251, b"")
        (delivery,) = await _take(consumer, 1)
        letter = Publication(
            exchange=topology.LOGS, routing_key=delivery.routing_key, kind="", message_id="", body=b"again"
        )
        await publisher.publish(letter)
        assert [each.body for each in await _take(consumer, 1)] == [b"again"]


@pytest.mark.parametrize("years", [11, 99])
async def test_the_longest_timeout_is_sent_like_any_other(broker, years):
    """An order longer than the broker can count is confirmed, instead of ending the channel again and again."""
    publisher = Publisher(broker.settings, "test", DECLARATIONS)
    async with running(publisher):
        until = time.time() + years * 365 * 86_400
        await publisher.publish(
            Publication(exchange="", routing_key="other", kind="order", message_id="1", body=b"", expires_at=until)
        )
        assert publisher.connections == 1


async def test_what_is_acked_while_the_connection_is_made_is_acked(broker, stranger):
    """Deliveries of the first queue may be done with before the last queue is consumed: none is left in the window."""
    async with running(Publisher(broker.settings, "declares", DECLARATIONS)):
        for body in (b"1", b"2", b"3"):
            stranger.basic_publish("", INBOX.name, body)
    consumer = Consumer(broker.settings, "test", DECLARATIONS, [INBOX.name, OTHER.name], prefetch=1)
    taking = asyncio.create_task(_take(consumer, 3))
    async with running(consumer):
        assert [each.body for each in await taking] == [b"1", b"2", b"3"]


async def test_nodes_that_hang_do_not_keep_from_the_one_that_answers(broker, monkeypatch):
    """Two addresses that accept and say nothing cost seconds each; the third is connected to in the same attempt."""
    monkeypatch.setattr("shared.broker.link.ADDRESS_LIMIT", 0.5)
    monkeypatch.setattr("shared.broker.link.random.sample", lambda some, _: list(some))  # the hung ones first
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        hung = [f"amqp://a:b@127.0.0.1:{each.getsockname()[1]}/" for each in (one, two)]
        publisher = Publisher(BrokerSettings(urls=(*hung, broker.url)), "test", ())
        began = time.monotonic()
        async with running(publisher):
            assert time.monotonic() - began < 4


class _Waited(Publisher):
    """Its broker takes longer for all that it is asked than an attempt may, and less for each."""

    async def opened(self) -> None:
        for _ in range(15):
            await self.ask(lambda done: asyncio.get_running_loop().call_later(0.1, done, None))
        await super().opened()


async def test_a_broker_that_answers_slowly_is_connected_to_all_the_same(broker, monkeypatch):
    """Thousands who come back at once wait for each other; to be cut short and begin again would make it worse."""
    monkeypatch.setattr("shared.broker.link.ADDRESS_LIMIT", 0.5)
    monkeypatch.setattr("shared.broker.link.ANSWER_LIMIT", 0.9)
    publisher = _Waited(broker.settings, "test", topology.exchanges())
    async with running(publisher):
        assert publisher.connections == 1


async def test_who_had_to_give_up_waits_longer_the_next_time(broker, monkeypatch):
    """A broker that takes three times as long as the first attempt has for its first word is connected to."""
    monkeypatch.setattr("shared.broker.link.ADDRESS_LIMIT", 0.4)
    target = pika.URLParameters(broker.url)

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.2)
        other_reader, other_writer = await asyncio.open_connection(target.host, target.port)
        with suppress(OSError):
            await asyncio.gather(_passed(reader, other_writer), _passed(other_reader, writer))

    async with await asyncio.start_server(late, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        publisher = Publisher(BrokerSettings(urls=(broker.url.replace(f":{target.port}/", f":{port}/"),)), "test", ())
        async with running(publisher):
            assert publisher.connections == 1


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(65_536):
        writer.write(some)
    writer.close()


class _LeftWaiting(Publisher):
    """Its broker doesn't answer on the first connection, which stands."""

    attempts = 0

    async def opened(self) -> None:
        self.attempts += 1
        if self.attempts == 1:
            await self.ask(lambda done: None)
        await super().opened()


async def test_a_broker_that_stops_to_answer_is_connected_to_anew(broker, monkeypatch):
    """What was begun with it is given up, with the reason in the log."""
    monkeypatch.setattr("shared.broker.link.ADDRESS_LIMIT", 1.0)
    monkeypatch.setattr("shared.broker.link.ANSWER_LIMIT", 1.0)
    publisher = _LeftWaiting(broker.settings, "test", topology.exchanges())
    with capture_logs() as said:
        async with running(publisher):
            assert publisher.attempts > 1
    assert any("answer" in str(each.get("error")) for each in said)


@pytest.mark.parametrize("query, seconds", [("", 10), ("?heartbeat=2", 2), ("?heartbeat=0", 10)])
def test_a_url_may_ask_for_another_heartbeat_but_not_for_none(query, seconds):
    """Without heartbeats a half-open link would never be noticed."""
    (found,) = parameters(BrokerSettings(urls=(f"amqp://broker/{query}",)))
    assert found.heartbeat == seconds


@pytest.mark.parametrize("settings", [{"ca_file": "/nowhere.pem"}, {"certificate_file": __file__}])
def test_tls_files_that_are_none_are_named(settings):
    """A missing or wrong file is an error of the settings that names it, also without a `ca_file`."""
    with pytest.raises(SettingsError, match=next(iter(settings.values()))):
        parameters(BrokerSettings(urls=("amqps://broker/",), **settings))


async def _take(consumer: Consumer, count: int) -> list[Any]:
    """So many deliveries, each acked as soon as it is there."""
    found: list[Any] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await consumer.batch(INBOX.name)
            consumer.ack_through(found[-1])
    return found


def _raw(pieces: list[bytes], value: Any) -> int:
    """Stands in for pika's encoder: bytes are an encoded value already."""
    encoded = value if isinstance(value, bytes) else b"S" + struct.pack(">I", len(value)) + value.encode()
    pieces.append(encoded)
    return len(encoded)
