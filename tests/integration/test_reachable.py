"""Whether the broker can be reached: what a fresh connection says, and what the publisher knows by itself."""

import socket
import time
from collections.abc import Iterator

import pytest

from shared import topology
from shared.broker import Publication, Publisher, reach
from shared.settings import BrokerSettings
from tests.running import connected
from tests.stage.broker import Broker

pytestmark = pytest.mark.broker
PATIENCE = 20.0  # s
EXCHANGES = topology.exchanges()
HEARTBEAT = Publication(
    exchange=topology.EVENTS, routing_key="heartbeat.a", kind="heartbeat", message_id="1", body=b"", transient=True
)


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of somebody who takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"amqp://127.0.0.1:{server.getsockname()[1]}/"


async def test_one_address_that_lets_us_in_is_enough(broker: Broker, silent: str) -> None:
    """The others may say nothing at all; nobody waits for them."""
    settings = BrokerSettings(urls=(silent, broker.url, silent))
    began = time.monotonic()
    assert await reach(settings, PATIENCE) == "open"
    assert time.monotonic() - began < PATIENCE / 4


async def test_who_is_silent_or_not_there_cannot_be_reached(silent: str) -> None:
    """Silence counts once the time is up, a refusal at once; neither is an error."""
    assert await reach(BrokerSettings(urls=(silent,)), 0.2) == "silent"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    began = time.monotonic()
    nobody = f"amqp://127.0.0.1:{port}/"
    assert await reach(BrokerSettings(urls=(nobody,)), PATIENCE) == "refused"
    assert time.monotonic() - began < PATIENCE / 4
    assert await reach(BrokerSettings(urls=(silent, nobody, silent)), 0.2) == "refused"


async def test_a_broker_under_an_alarm_can_be_reached(broker: Broker) -> None:
    """It takes no messages, and so confirms none; that it lets us in shows that nothing is between it and us."""
    broker.node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.00001)")
    try:
        assert await reach(broker.settings, PATIENCE) == "open"
    finally:
        broker.node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.4)")


async def test_a_publisher_knows_when_what_was_answered_set_out(broker: Broker) -> None:
    """A confirm says that the way was open when its message was sent; a heartbeat's does too."""
    publisher = Publisher(broker.settings, "test", EXCHANGES)
    async with connected(publisher):
        assert publisher.reached_at < 0
        before = time.monotonic()
        sent = publisher.send(HEARTBEAT)
        after = time.monotonic()
        await sent
        assert before <= publisher.reached_at <= after
