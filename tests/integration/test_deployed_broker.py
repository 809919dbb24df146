"""RabbitMQ as `deploy/` has it: who gets in, what each may do there, and what it shows of itself."""

import re
import shutil
import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker, ProbableAuthenticationError

from manager.up.private_broker import HELLO, LOOPBACK, free_port
from shared import topology
from shared.settings import BrokerSettings
from tests.integration.a_manager_daemon import ATTACKER, RunningManager, known
from tests.integration.an_agent import AnAgent
from tests.stage import debian
from tests.stage.dashboards import queries
from tests.stage.deployed_broker import DEPLOY, DeployedBroker, Secrets
from tests.unit.test_alerts import ALERTS, jobs
from tests.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.root]


class Deployed:
    """A node, the secrets that it was started with, and itself as the operator's login sees it."""

    def __init__(self, folder: Path, system: Path) -> None:
        self.port = free_port()
        self.secrets = Secrets(folder / "secrets", self.port)
        definitions = self.secrets.folder / "rabbitmq" / "definitions.json"
        self.node = DeployedBroker(folder / "node", definitions, self.port, system=system)
        shutil.copy(DEPLOY / "rabbitmq" / "container.conf", folder / "node" / "conf.d" / "70-container.conf")
        self.settings = BrokerSettings(urls=(self.url,))

    @property
    def url(self) -> str:
        """The operator's, who may look at everything."""
        return f"amqp://operator:{self.secrets.read('operator/rabbitmq-password')}@{LOOPBACK}:{self.port}/thwart"

    @property
    def manager(self) -> str:
        """The manager's URL."""
        return self.secrets.urls("manager")[0]

    @property
    def agents(self) -> str:
        """The URL of all agents."""
        return self.secrets.urls("agents")[0]


@pytest.fixture(scope="module", params=["trixie", pytest.param("bookworm", marks=pytest.mark.full)])
def deployed(request, tmp_path_factory) -> Iterator[Deployed]:
    """On RabbitMQ 4, which is what is deployed; in a full run on 3.10 too."""
    system = debian.with_packages(request.param, "rabbitmq-server")
    one = Deployed(tmp_path_factory.mktemp("deployed"), system)
    with one.node:
        yield one


async def test_manager_and_agent_need_no_more_than_their_logins_may(guard, network, deployed, tmp_path):
    """An order given by hand is in the kernel and answered; both declared what they need, and nothing was set aside."""
    (tmp_path / "agent").mkdir()
    manager = RunningManager(guard, deployed, tmp_path, broker_urls=deployed.manager)
    manager.start()
    agent = AnAgent(guard, deployed, network.host("web1", 11), tmp_path / "agent")
    agent.config.write_text(agent.config.read_text().replace(deployed.url, deployed.agents))
    await agent.started()
    await known(manager, "web1")
    wish = {"request_id": "deployed-1", "address": ATTACKER, "location": "all"}
    (order,) = manager.call("POST", "/v1/blocks", json=wish).json()["orders"]
    await eventually(lambda: agent.in_force().keys() == {ATTACKER}, 10)
    await eventually(lambda: manager.get(f"/v1/orders/{order['id']}")["view"]["state"] == "applied")
    assert manager.get("/v1/dead-letters")["dead_letters"] == []
    await agent.close()
    assert manager.stop() == 0


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        (topology.ORDERS, "all"),
        (topology.ORDERS, "agent.web1"),
        ("", "thwart.agent.web1"),
        ("", topology.MANAGER_EVENTS),
        ("amq.topic", "all"),
        (topology.EVENTS, "anything.web1"),
        (topology.LOGS, "alert.web1"),
    ],
)
def test_an_agents_login_orders_nobody(deployed, exchange, key):
    """Neither as an order nor past the exchanges; on the others it says what agents say, and nothing else."""
    channel = _channel(deployed.manager)
    for each in topology.exchanges():
        channel.exchange_declare(each.name, "topic", durable=True, arguments=each.arguments)
    with pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"):
        _publish(deployed.agents, exchange, key)
    _publish(deployed.agents, topology.EVENTS, "heartbeat.web1")
    channel.connection.close()


def test_agents_read_nothing_that_managers_are_told(deployed):
    """What hosts logged is for the managers' login."""
    channel = _channel(deployed.manager)
    channel.queue_declare("thwart.manager.ours", durable=True)
    with pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"):
        _channel(deployed.agents).basic_get("thwart.manager.ours")
    channel.queue_delete("thwart.manager.ours")
    channel.connection.close()


def test_nobody_comes_in_without_a_password_of_the_set_up(deployed):
    """There is no `guest`, and no way in but a name and a password."""
    users = deployed.node.evaluate("length(rabbit_auth_backend_internal:list_users())")
    assert users == "3", "manager, agents, operator"
    for name in ("guest", "thwart.manager", "operator"):
        with pytest.raises(ProbableAuthenticationError):
            _channel(f"amqp://{quote(name)}:guest@{LOOPBACK}:{deployed.port}/thwart")
    with socket.create_connection((LOOPBACK, deployed.port), 5) as connection:
        connection.sendall(HELLO)
        offered = connection.recv(65_536)
    assert b"PLAIN" in offered and b"ANONYMOUS" not in offered and b"AMQPLAIN" not in offered


def test_what_no_daemon_would_send_is_refused(deployed):
    """A message of over twice the size that ours may have doesn't get into the broker's memory."""
    with pytest.raises(ChannelClosedByBroker, match="PRECONDITION_FAILED"):
        _publish(deployed.manager, "", "thwart.anything", b"x" * (2 * 1024 * 1024 + 1))


def test_in_a_container_publishers_wait_long_before_it_is_killed(deployed):
    """It goes by the memory that compose gives it, and not by the host's."""
    compose = (DEPLOY.parent / "docker-compose.yml").read_text()
    service = re.findall(r"^  rabbitmq:\n(.*?)^  \w", compose, re.MULTILINE | re.DOTALL)[0]
    (limit,) = re.findall(r"^    mem_limit: (\d+)g\b", service, re.MULTILINE)
    assert "./deploy/rabbitmq/container.conf:/etc/rabbitmq/conf.d/70-container.conf:ro\n" in service
    assert int(deployed.node.evaluate("vm_memory_monitor:get_total_memory()")) == int(limit) * 2**30
    assert int(deployed.node.evaluate("vm_memory_monitor:get_memory_limit()")) < int(limit) * 2**30 * 2 / 3


def test_prometheus_gets_no_more_series_when_there_are_more_agents(deployed):
    """The broker's metrics are of all queues together, and say when it is short of memory or disk."""
    before = _series(deployed.node.prometheus)
    channel = _channel(deployed.manager)
    for number in range(20):
        channel.queue_declare(f"thwart.agent.many-{number}", durable=True)
    after = _series(deployed.node.prometheus)
    assert "rabbitmq_alarms_memory_used_watermark" in after and "rabbitmq_queue_messages_ready" in after
    assert len(after) - len(before) < 20 and not [each for each in after if "many-" in each]
    channel.connection.close()


class OnManyProcessors(DeployedBroker):
    """Erlang has some metrics for each."""

    def _environment(self) -> dict[str, str]:
        known, name = super()._environment(), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"
        return known | {name: f"{known[name]} +S 64:64"}


def test_prometheus_takes_in_a_broker_with_many_processors(tmp_path):
    """Over its job's limit nothing would be taken in, and the alert would say that there is no broker."""
    folder, port, job = Secrets(tmp_path / "secrets", free_port()).folder, free_port(), jobs()["rabbitmq"]
    system = debian.with_packages("trixie", "rabbitmq-server")
    definitions = folder / "rabbitmq" / "definitions.json"
    with OnManyProcessors(tmp_path / "node", definitions, port, system=system) as node:
        everything = _series(node.prometheus)
    (limit,) = re.findall(r"sample_limit: (\d+)", job)
    dropped = re.compile(re.findall(r"source_labels: \[__name__\]\n +regex: (\S+)\n +action: drop", job)[0])
    kept = [each for each in everything if not dropped.fullmatch(each.partition("{")[0])]
    assert len(everything) > int(limit), "else this shows nothing"
    assert len(kept) < int(limit) / 2


def test_the_broker_has_the_metrics_that_the_dashboards_ask_for(deployed):
    """By their names, from its start on."""
    asked = {name for each in queries() for name in re.findall(r"\brabbitmq_\w+(?={)", each.expression)}
    assert len(asked) > 10
    _channel(deployed.manager).queue_declare("thwart.manager.ours", durable=True)
    detailed = _series(deployed.node.prometheus, "/metrics/detailed?family=queue_coarse_metrics")
    found = {each.partition("{")[0] for each in _series(deployed.node.prometheus) | detailed}
    assert asked <= found


def test_the_broker_has_the_metrics_that_the_alerts_ask_for(deployed):
    """Its alarms, what all queues hold, and each queue on a page of its own, asked for as Prometheus is told to."""
    here = {each.partition("{")[0] for each in _series(deployed.node.prometheus)}
    assert "rabbitmq_queue_messages" in here
    alarms = re.compile(re.findall(r'__name__=~"(rabbitmq_alarms_[^"]+)"', ALERTS)[0])
    assert len([each for each in here if alarms.fullmatch(each)]) >= 2
    channel = _channel(deployed.manager)
    channel.queue_declare("thwart.manager.counted", durable=True)
    job = jobs()["rabbitmq-queues"]
    page, family = (re.findall(pattern, job)[0] for pattern in (r"metrics_path: (\S+)", r"family: \[(\w+)\]"))
    there = _series(deployed.node.prometheus, f"{page}?family={family}")
    counted = [each for each in there if each.startswith("rabbitmq_detailed_queue_messages{")]
    assert any('queue="thwart.manager.counted"' in each for each in counted)
    channel.queue_delete("thwart.manager.counted")
    channel.connection.close()


def test_the_management_pages_are_the_operators(deployed):
    """Its password opens them, and no daemon's does."""
    word = deployed.secrets.read("operator/rabbitmq-password")
    assert _asked(deployed.node.management, "operator", word) == 200
    daemon = urlsplit(deployed.agents)
    assert _asked(deployed.node.management, unquote(daemon.username), unquote(daemon.password)) == 401


def test_a_new_password_is_known_after_a_restart(deployed):
    """Who loses one removes its file, and runs the set-up and the broker again: the old one is worth nothing."""
    old = deployed.agents
    (deployed.secrets.folder / "agents" / "broker-url").unlink()
    Secrets(deployed.secrets.folder, deployed.port)
    deployed.node.restart()
    assert deployed.agents != old
    _channel(deployed.agents).connection.close()
    _channel(deployed.manager).connection.close()
    with pytest.raises(ProbableAuthenticationError):
        _channel(old)


def _channel(url: str):
    return pika.BlockingConnection(pika.URLParameters(url)).channel()


def _publish(url: str, exchange: str, key: str, body: bytes = b"anything") -> None:
    """Confirmed, or it raises."""
    channel = _channel(url)
    channel.confirm_delivery()
    channel.basic_publish(exchange, key, body)
    channel.connection.close()


def _series(port: int, path: str = "/metrics") -> set[str]:
    with urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if line and not line.startswith("#")}


def _asked(port: int, name: str, password: str) -> int:
    """The status of the pages' own question."""
    word = b64encode(f"{name}:{password}".encode()).decode()
    try:
        with urlopen(
            Request(f"http://{LOOPBACK}:{port}/api/overview", headers={"Authorization": f"Basic {word}"}), timeout=10
        ) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
