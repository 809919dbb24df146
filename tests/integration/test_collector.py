"""The collector on a real broker: lines reach the manager's queue, and wait in the log while it takes none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent import collector
from agent.collector import Collector
from shared import codec, topology
from shared.broker import Consumer, Publisher
from shared.clock import SystemClock
from shared.messages import LogBatch
from shared.settings import FollowedLog
from shared.store import Store
from shared.topology import MANAGER_LOGS
from tests.running import running
from tests.stage.broker import Broker
from tests.waiting import eventually

pytestmark = pytest.mark.broker


class Reader:
    """The manager's end."""

    def __init__(self, broker: Broker, logs: topology.Queue) -> None:
        self.consumer = Consumer(broker.settings, "manager", [*topology.exchanges(), logs], [MANAGER_LOGS])
        self.texts: list[str] = []
        self._positions: dict[str, int] = {}

    async def read(self) -> None:
        while True:
            deliveries = await self.consumer.batch(MANAGER_LOGS)
            for delivery in deliveries:
                assert delivery.routing_key == "log.web1"
                batch = codec.decode(delivery.body, LogBatch)
                for line in batch.lines:
                    if line.offset > self._positions.get(batch.cursor.file, -1):
                        self._positions[batch.cursor.file] = line.offset
                        self.texts.append(line.text)
            self.consumer.ack_through(deliveries[-1])


def the_logs_queue(**arguments: object) -> topology.Queue:
    (queue,) = (each for each in topology.manager_queues("classic") if each.name == MANAGER_LOGS)
    return replace(queue, arguments={**queue.arguments, **arguments})


@asynccontextmanager
async def following(broker: Broker, log: Path, logs: topology.Queue) -> AsyncIterator[Publisher]:
    publisher = Publisher(broker.settings, "agent", [*topology.exchanges(), logs])
    store = Store(log.with_name("collector.db"), collector.SCHEMA)
    one = Collector([FollowedLog(path=str(log))], "web1", store, publisher, SystemClock())
    async with running(publisher.run(), one.run()):
        await one.ready.wait()
        await publisher.connected.wait()
        yield publisher
    store.close()


def write(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


async def test_lines_reach_the_managers_queue_over_restarts_of_everything(broker: Broker, tmp_path: Path) -> None:
    """Broker killed and started, log rotated, collector restarted: each line arrives once, in its order."""
    log, logs = tmp_path / "auth.log", the_logs_queue()
    log.touch()
    reader = Reader(broker, logs)
    wanted = [f"line {number}" for number in range(40)]
    async with running(reader.consumer.run(), reader.read()):
        async with following(broker, log, logs):
            write(log, *wanted[:10])
            await eventually(lambda: reader.texts == wanted[:10])
            await asyncio.to_thread(broker.node.kill)
            write(log, *wanted[10:20])
            log.rename(tmp_path / "auth.log.1")
            write(log, *wanted[20:30])
            await asyncio.to_thread(broker.node.start)
            await eventually(lambda: len(reader.texts) >= 30, within=20)
        write(log, *wanted[30:])
        async with following(broker, log, logs):
            await eventually(lambda: len(reader.texts) >= 40)
    assert reader.texts == wanted


async def test_a_full_queue_leaves_the_lines_in_the_log(broker: Broker, tmp_path: Path) -> None:
    """When the manager's queue takes no more, the collector waits with the next batch and loses none."""
    log, logs = tmp_path / "auth.log", the_logs_queue(**{"x-max-length": 1})
    log.touch()
    async with following(broker, log, logs):
        write(log, "first")
        await eventually(lambda: queued(broker) == 1)
        write(log, *(f"line {number}" for number in range(5_000)))
        reader = Reader(broker, logs)
        async with running(reader.consumer.run(), reader.read()):
            await eventually(lambda: len(reader.texts) >= 5_001, within=20)
    assert reader.texts == ["first", *(f"line {number}" for number in range(5_000))]


def queued(broker: Broker) -> int:
    name = f'rabbit_misc:r(<<"{broker.login.name}">>, queue, <<"{MANAGER_LOGS}">>)'
    return int(
        broker.node.evaluate(
            f"{{ok, Q}} = rabbit_amqqueue:lookup({name}), [{{messages, N}}] = rabbit_amqqueue:info(Q, [messages]), N"
        )
    )
