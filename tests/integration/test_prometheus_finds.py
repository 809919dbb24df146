"""A real Prometheus with the settings that containers get, in a network where names lead to replicas."""

import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.metrics import AgentMetrics
from manager.metrics import Metrics
from shared.topology import agent_queue, manager_queues
from tests.stage import enter
from tests.stage.guard import Guard
from tests.stage.network import Host, Network
from tests.stage.prometheus import Prometheus
from tests.stage.replicas import NAME_SERVER, Replicas
from tests.waiting import wait_for

pytestmark = [pytest.mark.prometheus, pytest.mark.root]

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "deploy" / "prometheus"
RABBITMQ = (ROOT / "tests" / "stage" / "sample" / "rabbitmq.metrics").read_bytes()
QUEUES = [each.name for each in (*manager_queues("classic"), agent_queue("web1", (), "classic"))]
DETAILED = "".join(
    f'rabbitmq_detailed_{name}{{vhost="/",queue="{queue}"}} 1\n'
    for name in ("queue_messages_ready", "queue_messages_unacked", "queue_messages", "queue_process_reductions_total")
    for queue in QUEUES
)
PAGES = {
    9460: {"/metrics": Metrics().exposition()},
    9464: {"/metrics": AgentMetrics().exposition()},
    15692: {"/metrics": RABBITMQ, "/metrics/detailed": DETAILED.encode()},
}
UP = "max_over_time(up[1m]) == 1"
SCALED = [f"127.0.2.{number}" for number in range(1, 51)]


@pytest.fixture
def host(network: Network) -> Host:
    return network.host("prometheus", 2)


@pytest.fixture
def replicas(host: Host) -> Iterator[Replicas]:
    """A manager, fifty agents, one in a service's network, no agent beside the manager, a broker."""
    known = {"manager": ["127.0.1.1"], "agent": SCALED, "target": ["127.0.3.1"], "rabbitmq": ["127.0.4.1"]}
    one = Replicas(host, known, PAGES)
    yield one
    one.close()


@pytest.fixture
def prometheus(guard: Guard, host: Host, replicas: Replicas, tmp_path: Path) -> Prometheus:
    """One on that host, with the project's settings but for how often it looks, that has found them all: on a busy
    machine not every look at one is in time.
    """
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
    shutil.copy(SETTINGS / "alerts.yml", tmp_path)
    settings = re.sub(r"(\w+_interval): \d+s", r"\1: 1s", (SETTINGS / "prometheus.yml").read_text())
    inside = enter.command(host.path, host.name, etc=etc)
    one = Prometheus(guard, tmp_path, settings, inside=inside, call=host.call)
    wait_for(lambda: len(series(one, UP)) == 54, 60)
    return one


def series(prometheus: Prometheus, query: str) -> list[dict[str, str]]:
    """The labels of each that the query comes to now."""
    return [each["metric"] for each in prometheus.instant(query, time.time())]


def test_each_replica_is_found_by_its_services_name(prometheus: Prometheus) -> None:
    """All fifty, with nothing to be told; a name that nobody has is no trouble. Of the queues only the managers' are
    taken in.
    """
    assert Counter((each["job"], each["service"]) for each in series(prometheus, UP)) == {
        ("thwart-manager", "manager"): 1,
        ("thwart-agent", "agent"): 50,
        ("thwart-agent", "target"): 1,
        ("rabbitmq", "rabbitmq"): 1,
        ("rabbitmq-queues", "rabbitmq"): 1,
    }
    assert len(series(prometheus, "last_over_time(thwart_effects_outlived[1m])")) == 51
    found = series(prometheus, 'last_over_time({job="rabbitmq-queues",queue!=""}[1m])')
    assert {each["queue"] for each in found} == {each.name for each in manager_queues("classic")}
    assert len(found) == 3 * len(manager_queues("classic"))


@pytest.mark.full
def test_replicas_that_are_gone_are_no_targets(prometheus: Prometheus, replicas: Replicas) -> None:
    """Scaled in from fifty to two, nobody is told that forty-eight are down."""
    replicas.addresses["agent"] = SCALED[:2]
    wait_for(lambda: len(series(prometheus, 'up{service="agent"}')) == 2, 30)
    gone = {f"{address}:9464" for address in SCALED[2:]}
    assert not gone & {each["instance"] for each in series(prometheus, "up == 0")}
