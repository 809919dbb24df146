"""Three RabbitMQ nodes as `deploy/` has them: what of one, and of two, may die or hang while orders are given."""

import re
import time
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from manager.up.private_broker import LOOPBACK
from shared import topology
from tests.fault.on_three_nodes import Daemons, leader
from tests.stage import debian
from tests.stage.deployed_broker import Cluster

pytestmark = [pytest.mark.broker, pytest.mark.root, pytest.mark.timeout(400)]

QUEUE = topology.agent_queue_name("web1")
OUTAGE = 3.0  # s in which not one order is answered


@pytest.fixture
def nodes(tmp_path) -> Iterator[Cluster]:
    """On RabbitMQ 4."""
    with Cluster(tmp_path / "cluster", system=debian.with_packages("trixie", "rabbitmq-server")) as cluster:
        yield cluster


@pytest.fixture
def daemons(guard, nodes, network, tmp_path) -> Daemons:
    """All of which are connected to some node or other."""
    return Daemons(guard, nodes, network, tmp_path)


@pytest.mark.parametrize(
    "queue",
    [
        topology.MANAGER_HEARTBEATS,
        pytest.param(topology.MANAGER_EVENTS, marks=pytest.mark.full),
        pytest.param(QUEUE, marks=pytest.mark.full),
    ],
)
def test_one_node_dies_then_two_then_they_are_back_and_nothing_is_lost(nodes, daemons, queue):
    """Whichever queue's leader it is, orders go on; without two nodes they wait, and then all are answered."""
    with daemons.ordered_about():
        daemons.goes_on(within=30)
        first, began = leader(nodes, queue), time.time()
        first.kill()
        daemons.goes_on(within=60)
        assert unreachable(nodes) == 1, "which an alert goes by"
        one_died, began = daemons.longest_wait(began), time.time()
        other, last = (node for node in nodes.nodes if node is not first)
        other.kill()
        daemons.stands_still(OUTAGE)
        assert last.running
        nodes.start()
        daemons.goes_on(within=90)
    two_died = daemons.longest_wait(began)
    count = daemons.judged()
    print(
        f"{count} orders for three agents, none lost; the longest until all had answered one:"
        f" {one_died:.1f} s when the leader died, {two_died:.1f} s when two did, until they were back"
    )
    assert one_died < 30
    assert two_died > OUTAGE


@pytest.mark.full
def test_a_node_that_hangs_is_noticed_and_nothing_is_lost(nodes, daemons):
    """Its connections stand and say nothing, so only heartbeats tell; what was sent there goes to the others then."""
    with daemons.ordered_about():
        daemons.goes_on(within=30)
        hangs, began = leader(nodes, QUEUE), time.time()
        hangs.hang()
        daemons.goes_on(within=150)
        hung = daemons.longest_wait(began)
        hangs.kill()
        nodes.start()
        daemons.goes_on(within=90)
    print(f"{daemons.judged()} orders for three agents, none lost; the longest when a node hung: {hung:.1f} s")


def unreachable(nodes: Cluster) -> int:
    """How many nodes one that runs can't reach, by what Prometheus is told of it."""
    one = next(node for node in nodes.nodes if node.running)
    with urlopen(f"http://{LOOPBACK}:{one.prometheus}/metrics", timeout=10) as answer:
        (said,) = re.findall(r"^rabbitmq_unreachable_cluster_peers_count (\d+)$", answer.read().decode(), re.MULTILINE)
    return int(said)
