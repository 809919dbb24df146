"""The outbox on a real broker that is killed in between: every row arrives, none is forgotten before."""

import asyncio
from pathlib import Path

import pytest

from shared import outbox, topology
from shared.broker import Consumer, Publication, Publisher
from shared.outbox import Outbox
from shared.store import Store
from shared.topology import ORDERS, Queue
from tests.running import connected, running
from tests.stage.broker import Broker
from tests.waiting import eventually

pytestmark = pytest.mark.broker

INBOX = Queue(name="inbox", bindings=((ORDERS, "all"),))
DECLARATIONS = (*topology.exchanges(), INBOX)
MANY = 1_000


async def test_every_row_arrives_over_a_broker_that_is_killed(broker: Broker, tmp_path: Path) -> None:
    """Rows are put while the broker is killed and started: the reader gets each at least once."""
    store = Store(tmp_path / "store.db", outbox.SCHEMA)
    publisher = Publisher(broker.settings, "publish", DECLARATIONS)
    consumer = Consumer(broker.settings, "consume", DECLARATIONS, [INBOX.name])
    one = Outbox(store, publisher)
    found: list[int] = []

    async def take() -> None:
        while True:
            batch = await consumer.batch(INBOX.name)
            found.extend(int(each.body) for each in batch)
            consumer.ack_through(batch[-1])

    async with connected(publisher, consumer), running(take(), one.run()):
        for number in range(MANY):
            await store.run(lambda connection, number=number: outbox.put(connection, [row(number)]))
            one.wake()
            if number == MANY // 2:
                await asyncio.to_thread(broker.node.kill)
                await asyncio.to_thread(broker.node.start)
        await asyncio.wait_for(one.drained(), 30)
        await eventually(lambda: len(set(found)) == MANY, within=20)
    assert store.run_now(outbox.unsent) == 0
    assert sorted(set(found)) == list(range(MANY))
    store.close()


def row(number: int) -> Publication:
    body = str(number).encode()
    return Publication(exchange=ORDERS, routing_key="all", kind="order", message_id=str(number), body=body)
