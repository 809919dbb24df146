"""Three RabbitMQ nodes as `deploy/` has them: what of one, and of two, may die under load."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from shared import topology
from shared.broker import Consumer, Publication, Publisher
from shared.settings import BrokerSettings
from tests.running import connected, running
from tests.stage import debian
from tests.stage.deployed_broker import Cluster, DeployedBroker
from tests.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.root, pytest.mark.full, pytest.mark.timeout(300)]

QUEUE = topology.agent_queue("web1", (), "quorum")
AT_ONCE = 8  # orders on their way
OUTAGE = 3.0  # s in which not one order is taken
SOME = 300  # orders: enough to show that they get through


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    """On RabbitMQ 4."""
    with Cluster(tmp_path, system=debian.with_packages("trixie", "rabbitmq-server")) as nodes:
        yield nodes


class Load:
    """Orders to one agent, as many as the brokers take, and the agent that takes them; each side by its own login."""

    def __init__(self, cluster: Cluster) -> None:
        self.confirmed: dict[str, float] = {}  # how long each waited, s
        self.received: list[str] = []
        self.latest = time.monotonic()
        self._sent = 0
        self._ends = False
        declarations = (*topology.exchanges(), *topology.manager_queues("quorum"), QUEUE)
        to, by = (BrokerSettings(urls=cluster.secrets.urls(who), queue_type="quorum") for who in ("manager", "agents"))
        self._publisher = Publisher(to, "orders", declarations)
        self._consumer = Consumer(by, "agent", declarations, [QUEUE.name])

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """While inside."""
        async with connected(self._publisher, self._consumer), running(self._take()):
            senders = [asyncio.create_task(self._send()) for _ in range(AT_ONCE)]
            yield
            self._ends = True
            await asyncio.wait_for(asyncio.gather(*senders), 60)
            await eventually(lambda: set(self.received) >= set(self.confirmed), 30)

    async def goes_on(self, within: float, since: int) -> float:
        """Returns when some more are confirmed than the first `since`; the longest that one after those waited."""
        enough = len(self.confirmed) + SOME
        await eventually(lambda: len(self.confirmed) >= enough, within)
        return max(list(self.confirmed.values())[since:])

    async def _send(self) -> None:
        while not self._ends:
            self._sent += 1
            name, began = str(self._sent), time.monotonic()
            await self._publisher.insist(_order(name))
            self.latest = time.monotonic()
            self.confirmed[name] = self.latest - began

    async def _take(self) -> None:
        while True:
            batch = await self._consumer.batch(QUEUE.name)
            self.received += [each.message_id for each in batch]
            self._consumer.ack_through(batch[-1])


async def test_one_node_dies_then_two_then_they_are_back_and_nothing_is_lost(cluster):
    """Without the queue's leader orders go on within seconds; without two nodes they wait, and then all arrive."""
    load = Load(cluster)
    async with load.flowing():
        await load.goes_on(within=30, since=0)
        leader, before = _leader(cluster), len(load.confirmed)
        leader.kill()
        one_died = await load.goes_on(within=30, since=before)
        other, last = (node for node in cluster.nodes if node is not leader)
        before = len(load.confirmed)
        other.kill()
        await eventually(lambda: time.monotonic() - load.latest > OUTAGE, 30)
        assert last.running
        await asyncio.to_thread(cluster.start)
        two_died = await load.goes_on(within=90, since=before)
    lost = set(load.confirmed) - set(load.received)
    doubled = len(load.received) - len(set(load.received))
    print(
        f"{len(load.confirmed)} orders, {len(lost)} lost, {doubled} doubled; the longest that one waited:"
        f" {one_died:.1f} s when the leader died, {two_died:.1f} s when two did, until they were back"
    )
    assert not lost
    assert one_died < 10
    assert two_died > OUTAGE


def _leader(cluster: Cluster) -> DeployedBroker:
    """The node that leads the agent's queue."""
    queue = f'rabbit_misc:r(<<"thwart">>, queue, <<"{QUEUE.name}">>)'
    name = cluster.nodes[0].evaluate(f"element(2, amqqueue:get_pid(element(2, rabbit_amqqueue:lookup({queue}))))")
    return next(node for node in cluster.nodes if node.name == name.strip("'"))


def _order(name: str) -> Publication:
    return Publication(
        exchange=topology.ORDERS, routing_key="agent.web1", kind="order", message_id=name, body=name.encode()
    )
