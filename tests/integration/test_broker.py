"""What `shared.broker` promises, held against a real RabbitMQ node."""

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pika
import pytest
import trustme
from pika.exceptions import ChannelClosedByBroker
from structlog.testing import capture_logs

from shared import topology
from shared.broker import Consumer, Delivery, Publication, Publisher
from shared.errors import Disconnected, Refused, SettingsError, Unroutable
from shared.settings import BrokerSettings
from shared.topology import LOGS, ORDERS, Queue
from tests.running import connected, running
from tests.stage.broker import Broker
from tests.stage.logins import Logins
from tests.waiting import eventually

pytestmark = pytest.mark.broker

INBOX = Queue(name="inbox", bindings=((ORDERS, "agent.web1"),))
DECLARATIONS = (*topology.exchanges(), INBOX)


@pytest.fixture
def logins(broker: Broker) -> Iterator[Logins]:
    some = Logins(broker)
    yield some
    some.close()


def message(number: int | str, key: str = "agent.web1", **more: Any) -> Publication:
    fields = {"exchange": ORDERS, "kind": "order", "body": str(number).encode(), **more}
    return Publication(routing_key=key, message_id=str(number), **fields)


def a_publisher(broker: Broker, *more: Queue) -> Publisher:
    return Publisher(broker.settings, "publish", (*DECLARATIONS, *more))


def a_consumer(broker: Broker, **more: Any) -> Consumer:
    return Consumer(broker.settings, "consume", DECLARATIONS, [INBOX.name], **more)


async def take(consumer: Consumer, count: int) -> list[Delivery]:
    """So many deliveries, none of them acked."""
    found: list[Delivery] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await consumer.batch(INBOX.name)
    return found


async def outcomes(publisher: Publisher, *publications: Publication) -> list[BaseException | None]:
    async with asyncio.timeout(20):
        return await asyncio.gather(*map(publisher.send, publications), return_exceptions=True)


async def holds(broker: Broker, ready: int, unacked: int) -> None:
    """Waits until so many messages in the inbox are ready, and so many delivered but not acked."""
    await eventually(lambda: waiting(broker) == (ready, unacked), within=10)


# -- publishing --------------------------------------------------------------------------------------------------------


async def test_confirms_are_pipelined_and_each_message_gets_its_own_answer(broker: Broker) -> None:
    """Of a thousand messages on their way at once, exactly those that no queue takes are unroutable."""
    publisher = a_publisher(broker)
    async with connected(publisher):
        some = [message(number, "agent.web1" if number % 3 else "agent.nobody") for number in range(1_000)]
        answers = await outcomes(publisher, *some)
    assert [isinstance(answer, Unroutable) for answer in answers] == [number % 3 == 0 for number in range(1_000)]
    assert {answer for answer in answers if not isinstance(answer, Unroutable)} == {None}


async def test_equal_messages_that_no_queue_takes_are_each_unroutable(broker: Broker) -> None:
    """A return names no message: two that look the same are told apart all the same."""
    publisher = a_publisher(broker)
    async with connected(publisher):
        answers = await outcomes(publisher, *[message("same", "agent.nobody")] * 3, message("same"))
    assert [type(answer) for answer in answers] == [Unroutable] * 3 + [type(None)]
    assert "agent.nobody" in str(answers[0]) and ORDERS in str(answers[0])


async def test_a_full_queue_refuses_and_the_next_message_is_another_matter(broker: Broker) -> None:
    """A nack fails the messages that it is for and no other."""
    full = Queue(
        name="full",
        bindings=((LOGS, "log.web1"),),
        arguments={"x-max-length": 2, "x-overflow": "reject-publish"},
    )
    publisher = a_publisher(broker, full)
    async with connected(publisher):
        logs = [message(number, "log.web1", exchange=LOGS) for number in range(2)]
        assert await outcomes(publisher, *logs) == [None, None]
        over, fine = await outcomes(publisher, message("over", "log.web1", exchange=LOGS), message("fine"))
    assert isinstance(over, Refused) and fine is None


async def test_a_transient_message_that_no_queue_takes_is_nobodys_trouble(broker: Broker) -> None:
    """Heartbeats are not mandatory: without a manager they are gone, and no error."""
    publisher = a_publisher(broker)
    async with connected(publisher):
        await publisher.publish(message("beat", "agent.nobody", transient=True))


async def test_without_a_connection_sending_fails_at_once(broker: Broker) -> None:
    """`send` never blocks, and `writable` doesn't return before there is something to write to."""
    publisher = a_publisher(broker)
    with pytest.raises(Disconnected):
        await publisher.publish(message("early"))
    writable = asyncio.ensure_future(publisher.writable())
    async with connected(publisher):
        await writable
        await publisher.publish(message("now"))
    with pytest.raises(Disconnected):
        await publisher.publish(message("late"))


async def test_an_exchange_that_is_not_there_fails_what_is_on_its_way_and_no_more(broker: Broker) -> None:
    """The broker closes the channel for it; the next connection is as good as new."""
    publisher = a_publisher(broker)
    async with connected(publisher):
        with pytest.raises(Disconnected):
            await publisher.publish(message("lost", exchange="nowhere"))
        await eventually(lambda: publisher.connections == 2)
        await publisher.publish(message("found"))


async def test_after_a_killed_broker_comes_back_so_do_both_links(broker: Broker) -> None:
    """What was unconfirmed fails as Disconnected, both ends reconnect by themselves, what was confirmed is there."""
    publisher, consumer = a_publisher(broker), a_consumer(broker)
    async with connected(publisher, consumer):
        await publisher.publish(message("kept"))
        (kept,) = await take(consumer, 1)  # and not acked
        await asyncio.to_thread(broker.node.kill)
        await eventually(lambda: not publisher.connected.is_set() and not consumer.connected.is_set())
        (answer,) = await outcomes(publisher, message("lost"))
        assert isinstance(answer, Disconnected)
        await asyncio.to_thread(broker.node.start)
        await asyncio.wait_for(publisher.writable(), 20)
        await publisher.publish(message("after"))
        again = await take(consumer, 2)
    assert (kept.body, kept.redelivered) == (b"kept", False)
    assert [(each.body, each.redelivered) for each in again] == [(b"kept", True), (b"after", False)]
    assert consumer.queues_made == frozenset()


async def test_one_living_address_of_several_is_enough(broker: Broker) -> None:
    """Addresses that refuse are passed over within one attempt, whatever their place in the list."""
    dead = []
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            dead.append(f"amqp://guest:guest@127.0.0.1:{closed.getsockname()[1]}/")
    publisher = Publisher(BrokerSettings(urls=(*dead, broker.url)), "publish", DECLARATIONS)
    began = time.monotonic()
    async with connected(publisher):
        assert time.monotonic() - began < 3
        await publisher.publish(message("here"))


async def test_while_the_brokers_memory_is_short_nothing_is_writable_but_acks_go_through(broker: Broker) -> None:
    """An alarm blocks who publishes until it is over; what was sent into it is confirmed then."""
    publisher, consumer = a_publisher(broker), a_consumer(broker)
    async with connected(publisher, consumer):
        await publisher.publish(message("before"))
        broker.node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.00001)")
        try:
            late = publisher.send(message("during"))  # it is by publishing that a connection becomes blocked
            await eventually(lambda: publisher.blocked)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(publisher.writable(), 0.1)
            consumer.ack_through((await take(consumer, 1))[0])
            await holds(broker, 0, 0)
        finally:
            broker.node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.4)")
        await asyncio.wait_for(publisher.writable(), 10)
        assert not publisher.blocked
        await asyncio.wait_for(late, 10)
        assert publisher.connections == 1


# -- consuming ---------------------------------------------------------------------------------------------------------


async def test_a_delivery_says_what_was_sent(broker: Broker) -> None:
    """Body, key, kind, id and reason come through, as text."""
    publisher, consumer = a_publisher(broker), a_consumer(broker)
    async with connected(publisher, consumer):
        await publisher.publish(message("1", reason="malformed", expires_at=time.time() + 60))
        (found,) = await take(consumer, 1)
    assert (found.body, found.exchange, found.routing_key) == (b"1", ORDERS, "agent.web1")
    assert (found.kind, found.message_id, found.reason, found.queue) == ("order", "1", "malformed", INBOX.name)


async def test_what_expired_before_it_was_taken_is_not_delivered(broker: Broker) -> None:
    """The broker drops a message whose time is up, without being asked."""
    publisher, consumer = a_publisher(broker), a_consumer(broker)
    async with connected(publisher):
        await publisher.publish(message("stale", expires_at=time.time() - 5))
        await publisher.publish(message("good"))
        async with connected(consumer):
            assert [each.body for each in await take(consumer, 1)] == [b"good"]


async def test_a_batch_is_what_has_arrived_in_order_up_to_a_limit(broker: Broker) -> None:
    """Batches come in the order of sending and are never larger than asked for."""
    publisher, consumer = a_publisher(broker), a_consumer(broker)
    async with connected(publisher, consumer):
        await outcomes(publisher, *map(message, range(100)))
        await holds(broker, 0, 100)
        found = [await consumer.batch(INBOX.name, limit=30) for _ in range(4)]
    assert [len(batch) for batch in found] == [30, 30, 30, 10]
    assert [int(each.body) for batch in found for each in batch] == list(range(100))


async def test_an_ack_covers_everything_before_it_and_nothing_after(broker: Broker) -> None:
    """What was acked is gone; what came after it is delivered again to the next consumer."""
    publisher, consumer = a_publisher(broker), a_consumer(broker)
    async with connected(publisher):
        await outcomes(publisher, *map(message, range(10)))
        async with connected(consumer):
            found = await take(consumer, 10)
            consumer.ack_through(found[5])
            await holds(broker, 0, 4)
        async with connected(again := a_consumer(broker)):
            assert [int(each.body) for each in await take(again, 4)] == [6, 7, 8, 9]


async def test_an_ack_for_an_earlier_connection_is_ignored(broker: Broker) -> None:
    """Tags begin anew with each connection: an ack that comes late must not ack another message."""
    publisher, consumer = a_publisher(broker), a_consumer(broker)
    async with connected(publisher, consumer):
        await publisher.publish(message("first"))
        (old,) = await take(consumer, 1)
        close_connections(broker)
        await eventually(lambda: consumer.connections == 2 and consumer.connected.is_set(), within=10)
        (new,) = await take(consumer, 1)
        assert (new.tag, new.redelivered) == (old.tag, True)
        consumer.ack_through(old)
        await asyncio.wait_for(publisher.writable(), 10)
        await publisher.publish(message("second"))
        await take(consumer, 1)
        await holds(broker, 0, 2)
        consumer.ack_through(new)
        await holds(broker, 0, 1)


async def test_a_queue_that_was_deleted_is_made_anew_and_consumed(broker: Broker) -> None:
    """Its consumer is cancelled by the broker; it declares the queue again, goes on, and says that the queue is new."""
    publisher, consumer = a_publisher(broker), a_consumer(broker)
    async with connected(consumer, publisher):
        delete_inbox(broker)
        await eventually(lambda: consumer.connections == 2 and consumer.connected.is_set(), within=10)
        assert consumer.queues_made == {INBOX.name}
        await publisher.publish(message("to the new one"))
        assert [each.body for each in await take(consumer, 1)] == [b"to the new one"]


async def test_the_first_to_declare_a_queue_knows_that_it_made_it(broker: Broker) -> None:
    """`queues_made` names what the present connection did not find, and nothing on the next one."""
    consumer = a_consumer(broker)
    async with connected(consumer):
        assert consumer.queues_made == {INBOX.name}
        close_connections(broker)
        await eventually(lambda: consumer.connections == 2 and consumer.connected.is_set(), within=10)
        assert consumer.queues_made == frozenset()


class _FailsFirst(Consumer):
    """Its first attempt to connect ends when all is declared."""

    failed = False

    async def opened(self) -> None:
        if not self.failed:
            self.failed = True
            raise Disconnected("too late")
        await super().opened()


async def test_a_queue_that_an_attempt_made_before_it_failed_is_new(broker: Broker) -> None:
    """The next attempt finds it there; but nobody has been told yet that what was in an earlier one is lost."""
    consumer = _FailsFirst(broker.settings, "consume", DECLARATIONS, [INBOX.name])
    async with connected(consumer):
        assert consumer.failed
        assert consumer.queues_made == {INBOX.name}


async def test_a_queue_that_may_not_be_deleted_leaves_its_agent_the_lock(broker: Broker, logins: Logins) -> None:
    """Who asked for it is refused, and holds nothing for as long as its connection stands."""
    lock = topology.agent_lock("web1")
    url = logins.add("locks-only", configure=r"^thwart\.lock\.")
    publisher = Publisher(BrokerSettings(urls=(url,)), "publish", ())
    async with connected(a_publisher(broker), publisher):
        with pytest.raises(Disconnected, match="ACCESS_REFUSED"):
            await publisher.remove_queue(INBOX.name, lock)
        async with connected(Consumer(broker.settings, "agent", (lock,), [])):
            assert publisher.connections == 1


async def test_a_lock_is_held_by_one_and_taken_over_by_the_next(broker: Broker) -> None:
    """Who is refused the lock consumes nothing, says since when, goes on trying and gets it when it is free."""
    declarations = (*topology.exchanges(), topology.agent_lock("web1"), INBOX)
    one, other = (Consumer(broker.settings, name, declarations, [INBOX.name]) for name in ("one", "other"))
    publisher = a_publisher(broker)
    async with connected(publisher):
        async with connected(one):
            assert one.lock_refused_since is None
            waits = running(other.run())
            await waits.__aenter__()
            await eventually(lambda: other.lock_refused_since is not None)
            assert time.monotonic() - other.lock_refused_since < 10
            await publisher.publish(message("for one"))
            one.ack_through((await take(one, 1))[0])
            assert not other.connected.is_set()
        await asyncio.wait_for(other.connected.wait(), 20)
        assert other.lock_refused_since is None
        await publisher.publish(message("for other"))
        assert [each.body for each in await take(other, 1)] == [b"for other"]
        await waits.__aexit__(None, None, None)


async def test_who_is_refused_the_lock_makes_no_queue(broker: Broker) -> None:
    """What is declared behind the lock is not done, although it has set out with it."""
    lock, behind = topology.agent_lock("web1"), Queue(name="behind")
    async with connected(Consumer(broker.settings, "one", (lock,), [])):
        other = Consumer(broker.settings, "other", (lock, behind), [behind.name])
        async with running(other.run()):
            await eventually(lambda: other.lock_refused_since is not None, 20)
        with (
            pika.BlockingConnection(pika.URLParameters(broker.url)) as connection,
            pytest.raises(ChannelClosedByBroker, match="NOT_FOUND"),
        ):
            connection.channel().queue_declare(behind.name, passive=True)


async def test_a_queue_with_other_arguments_is_named_with_what_to_do(broker: Broker) -> None:
    """A mismatch can't be mended by trying: it is warned of in words, and does no harm to what is there."""
    other = Queue(name=INBOX.name, bindings=INBOX.bindings, arguments={"x-max-length": 5})
    async with connected(a_publisher(broker)):
        with capture_logs() as said:
            async with running(Consumer(broker.settings, "consume", (other,), [other.name]).run()):
                await eventually(lambda: any(each["action"] == "broker_retry" for each in said))
    (first, *_) = (each["error"] for each in said if each["action"] == "broker_retry")
    assert "PRECONDITION_FAILED" in first and f"'{INBOX.name}'" in first
    assert "broker.queue_type" in first and "delete it once it is empty" in first


async def test_a_wrong_password_is_said_and_tried_again(broker: Broker) -> None:
    """What the broker answers to a wrong login is in the warning, and the password is not."""
    url = broker.url.replace(broker.login.password, "wrong-password")
    with capture_logs() as said:
        async with running(Publisher(BrokerSettings(urls=(url,)), "publish", ()).run()):
            await eventually(lambda: said)
    assert "ACCESS_REFUSED" in said[0]["error"]
    assert "wrong-password" not in str(said)


async def test_each_reason_is_said_once_and_in_plain_words(broker: Broker) -> None:
    """Who starts before the broker is told that, and is told anew when it is there and refuses the login."""
    url = broker.url.replace(broker.login.password, "wrong-password")
    broker.node.kill()
    with capture_logs() as said:
        async with running(Publisher(BrokerSettings(urls=(url,)), "publish", ()).run()):
            await eventually(lambda: len(said) > 2)
            await asyncio.to_thread(broker.node.start)
            await eventually(lambda: "ACCESS_REFUSED" in said[-1]["error"], within=20)
    warned = [each["error"] for each in said if each["log_level"] == "warning"]
    assert warned[0].endswith(": Connection refused") and "Error" not in warned[0]
    assert len(warned) == len(set(warned)) and "ACCESS_REFUSED" in warned[-1]


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_port(broker: Broker, authority: trustme.CA, tmp_path) -> Any:
    """A port of the node that speaks TLS and wants to see a certificate of `authority`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = authority.issue_cert("127.0.0.1")
    server.private_key_pem.write_to_path(tmp_path / "server.key")
    server.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    options = ",".join(
        f'{{{name},"{tmp_path / file}"}}'
        for name, file in (("cacertfile", "ca.pem"), ("certfile", "server.pem"), ("keyfile", "server.key"))
    )
    broker.node.evaluate(
        "application:ensure_all_started(ssl),"
        f'rabbit_networking:start_ssl_listener({{"127.0.0.1",{port},inet}},'
        f"[{options},{{verify,verify_peer}},{{fail_if_no_peer_cert,true}}],2)"
    )
    return port  # the listener goes with the node


def tls_settings(broker: Broker, port: int, trusted: trustme.CA, issuer: trustme.CA, tmp_path) -> BrokerSettings:
    trusted.cert_pem.write_to_path(tmp_path / "trusted.pem")
    mine = issuer.issue_cert("web1")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "mine.pem")
    where = broker.url.partition("@")[2].partition("/")[2]
    login = broker.url.removeprefix("amqp://").partition("@")[0]
    return BrokerSettings(
        urls=(f"amqps://{login}@127.0.0.1:{port}/{where}",),
        ca_file=str(tmp_path / "trusted.pem"),
        certificate_file=str(tmp_path / "mine.pem"),
    )


async def test_tls_with_certificates_on_both_sides(broker, authority, tls_port, tmp_path) -> None:
    """An amqps URL with the right authority and a certificate of one's own is as good as a plain one."""
    settings = tls_settings(broker, tls_port, authority, authority, tmp_path)
    async with connected(publisher := Publisher(settings, "publish", DECLARATIONS)):
        await publisher.publish(message("secret"))


@pytest.mark.parametrize("wrong", ["server", "client"])
async def test_tls_with_a_certificate_of_somebody_else_is_no_connection(
    broker, authority, tls_port, tmp_path, wrong
) -> None:
    """Neither a broker that we don't trust nor an agent that the broker doesn't trust gets through."""
    stranger = trustme.CA()
    trusted, issuer = (stranger, authority) if wrong == "server" else (authority, stranger)
    publisher = Publisher(tls_settings(broker, tls_port, trusted, issuer, tmp_path), "publish", ())
    with capture_logs() as said:
        async with running(publisher.run()):
            await eventually(lambda: len(said) >= 2, within=10)
    assert publisher.connections == 0


@pytest.mark.parametrize("url", ["", "127.0.0.1", "http://127.0.0.1/", "amqp://host:port/", "amqp://[::1/"])
def test_what_is_no_amqp_url_is_an_error_of_the_settings(url: str) -> None:
    """The text names the key and says how to write one, and doesn't repeat what may hold a password."""
    with pytest.raises(SettingsError, match=r"broker\.urls: .*amqp://user:password@host") as raised:
        Publisher(BrokerSettings(urls=(url,)), "publish", ())
    assert not url or url not in str(raised.value)


# -- the node ----------------------------------------------------------------------------------------------------------


def waiting(broker: Broker) -> tuple[int, int]:
    """How many messages the inbox holds: ready, and delivered but not acked."""
    answer = broker.node.evaluate(
        f"{{ok, Q}} = rabbit_amqqueue:lookup({resource(broker)}),"
        "[{messages_ready, R}, {messages_unacknowledged, U}] ="
        " rabbit_amqqueue:info(Q, [messages_ready, messages_unacknowledged]), R * 1000000 + U"
    )
    ready, unacked = divmod(int(answer), 1_000_000)
    return ready, unacked


def delete_inbox(broker: Broker) -> None:
    broker.node.evaluate(
        f'{{ok, Q}} = rabbit_amqqueue:lookup({resource(broker)}),rabbit_amqqueue:delete(Q, false, false, <<"test">>)'
    )


def close_connections(broker: Broker) -> None:
    """As an operator would."""
    broker.node.evaluate(
        '[rabbit_networking:close_connection(P, "by a test") || P <- rabbit_networking:connections(),'
        f' proplists:get_value(user, rabbit_reader:info(P, [user])) =:= <<"{broker.login.name}">>]'
    )


def resource(broker: Broker) -> str:
    return f'rabbit_misc:r(<<"{broker.login.name}">>, queue, <<"{INBOX.name}">>)'
