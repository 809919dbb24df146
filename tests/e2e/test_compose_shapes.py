"""docker-compose.yml from outside: what its containers may, what they know, whether they live, what they protect."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import sidecar
from shared.errors import ThwartError
from tests.stage.compose import Compose, Container
from tests.stage.container_fleet import AGENTS, blocked
from tests.stage.engine import Engine
from tests.stage.inspected_fleet import (
    NO_DEPENDENCIES,
    SECRETS,
    InspectedFleet,
    ended,
    files,
    in_images,
    network,
    soon,
)
from tests.stage.rights import NET_ADMIN, all_rights

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

OURS = (*AGENTS, "manager")
LOGS = "var/log/target"
# What the two files that have an agent may say each in its own way.
ITS_PLACE = {"depends_on", "environment", "healthcheck", "network_mode", "networks", "secrets", "volumes"}
KEPT = 5  # checks that Docker remembers of each
# The checks of the file, but so often that nobody waits for them.
OFTEN = {"services": {each: {"healthcheck": {"interval": "1s", "retries": 1}} for each in (*OURS, "rabbitmq")}}


class Fleet(InspectedFleet):
    """Two agents, the manager's, a target with one that nobody attacks; and one that was taken away."""

    def __init__(self, compose: Compose) -> None:
        super().__init__(compose)
        self.up(3)
        before = self.ids()
        self.up(2)
        (self.gone,) = before - self.ids()

    def up(self, agents: int = 2, *options: str) -> None:
        self.compose.up(*AGENTS, "prometheus", scale={"agent": agents}, options=options)


@pytest.fixture(scope="module")
def fleet(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with Compose(engine, folder, profiles=("attack",), override=json.dumps(OFTEN)) as compose:
        yield Fleet(compose)


# -- what they may ---------------------------------------------------------------------------------------------------


def test_an_agent_may_change_a_firewall_and_the_manager_nothing(fleet: Fleet) -> None:
    """As the kernel has it, for each process: one capability and no way to another; none, and not root."""
    for service in OURS:
        user, right = (10001, 0) if service == "manager" else (0, NET_ADMIN)
        found = all_rights(fleet.container(service).pid)
        assert [each for each in found if each.command.startswith("thwart")]
        for each in found:
            assert (each.user, each.no_new_privileges, each.seccomp) == (user, True, True), each
            assert each.capabilities == (right, right, 0, right, 0), each


def test_nothing_of_ours_can_write_to_its_image_or_ask_docker(fleet: Fleet) -> None:
    """Their root is read-only, whoever tries, and the engine's socket is in no container."""
    for container in fleet.compose.containers():
        assert "docker.sock" not in json.dumps(fleet.compose.inspect(container))
        if container.service in OURS:
            with pytest.raises(OSError, match="Read-only file system"):
                Path(f"/proc/{container.pid}/root/usr/bin/new").touch()


def test_an_agent_reads_logs_without_passing_over_their_modes(fleet: Fleet) -> None:
    """What anybody may read, and group adm: as logs are. Not what is somebody else's alone."""
    logs = Path(f"/proc/{fleet.container('target').pid}/root", LOGS)
    for name, mode, user, group in (("adm", 0o640, 101, 4), ("theirs", 0o600, 1000, 1000)):
        (logs / name).write_text("a line\n")
        (logs / name).chmod(mode)
        os.chown(logs / name, user, group)
    assert fleet.compose.exec("target-agent", "cat", f"/{LOGS}/adm") == "a line\n"
    with pytest.raises(ThwartError, match="Permission denied"):
        fleet.compose.exec("target-agent", "cat", f"/{LOGS}/theirs")
    fleet.compose.exec("target-agent", "test", "-r", f"/{LOGS}/auth.log")


# -- what they know --------------------------------------------------------------------------------------------------


def test_each_container_sees_its_own_secrets_alone(fleet: Fleet) -> None:
    """Files that their reader alone can read. RabbitMQ has hashes."""
    for service in AGENTS:
        assert files(fleet.container(service), SECRETS) == {"broker-url": ("0o600", 0)}
    managers = {"broker-url": ("0o600", 10001), "api.token": ("0o600", 10001)}
    assert files(fleet.container("manager"), SECRETS) == managers
    assert set(files(fleet.container("rabbitmq"), "etc/thwart/rabbitmq")) == {"definitions.json"}
    for service in ("rabbitmq", "prometheus", "target"):
        assert not Path(f"/proc/{fleet.container(service).pid}/root", SECRETS).exists()


def test_no_secret_is_told(fleet: Fleet) -> None:
    """Not by `docker inspect`, in a log, in how an image was made, or in the images of ours, layer by layer."""
    secrets, client = fleet.secrets(), fleet.compose.engine.client
    assert len(secrets) == len(set(secrets.values())) == 6
    containers = [fleet.compose.inspect(each) for each in fleet.compose.containers()]
    images = {each["Image"] for each in containers}
    made = [client.get(f"/images/{each}/{what}") for each in images for what in ("json", "history")]
    said = json.dumps([*containers, *made]) + fleet.compose.logs()
    assert "://thwart." not in said
    assert not [name for name, secret in secrets.items() if secret in said]
    ours = {fleet.inspected(service)["Image"] for service in OURS}
    assert not in_images(fleet, sorted(ours), secrets.values())


def test_a_second_up_keeps_every_secret(fleet: Fleet) -> None:
    """`setup` runs again, and finds them; nobody is started anew for it."""
    before, containers = fleet.secrets(), {each.id: each.pid for each in fleet.compose.containers()}
    fleet.up()
    assert fleet.secrets() == before
    assert {each.id: each.pid for each in fleet.compose.containers()} == containers


def test_an_operator_is_shown_a_secret(fleet: Fleet) -> None:
    """By the command that docker-compose.yml names: nobody else could say what Grafana's password is."""
    said = fleet.compose.run("run", "--rm", "-T", "setup", "cat", f"/{SECRETS}/grafana/admin-password")
    assert said.strip() == fleet.secrets()["grafana-secrets/admin-password"]


def test_rabbitmq_lets_nobody_in_by_default(fleet: Fleet) -> None:
    """There is no `guest`, not even from its own network, and no user but ours."""
    assert fleet.management("guest", "guest", "/whoami").status_code == 401
    assert fleet.operators("/users") == {"operator", "thwart.agents", "thwart.manager"}


def test_nothing_listens_beyond_the_machine(fleet: Fleet) -> None:
    """Three ports are published, on 127.0.0.1. AMQP isn't, and the machine's network has no other listener."""
    published = {
        (container.service, port, each["HostIp"])
        for container in fleet.compose.containers()
        for port, places in (fleet.compose.inspect(container)["NetworkSettings"]["Ports"] or {}).items()
        for each in places or ()
    }
    assert published == {
        ("manager", "9460/tcp", "127.0.0.1"),
        ("prometheus", "9090/tcp", "127.0.0.1"),
        ("rabbitmq", "15672/tcp", "127.0.0.1"),
    }
    listening = [line.split()[4] for line in fleet.compose.engine.host.run("ss", "-Hltun").splitlines()]
    assert len(listening) >= len(published)
    assert not [each for each in listening if not each.startswith(("127.0.0.1:", "[::1]:"))]


# -- whether they live -----------------------------------------------------------------------------------------------


def test_a_dead_broker_makes_nobody_unhealthy(fleet: Fleet) -> None:
    """Every check that Docker remembers went well without it, and a block has ended in its time."""
    soon(lambda: fleet.healthy(*OURS, "rabbitmq"))
    agent = fleet.agent("agent")
    fleet.compose.exec("manager", "thwart", "block", "198.51.100.50", "--agent", agent.id, "--for", "15s")
    assert fleet.drops("agent", "198.51.100.50")
    fleet.compose.stop("rabbitmq")
    before = {each for service in OURS for each in fleet.checks(service)}
    soon(lambda: all(before.isdisjoint(fleet.checks(service)) for service in OURS))
    assert [code for service in OURS for code in fleet.checks(service).values()] == [0] * KEPT * len(OURS)
    assert fleet.healthy(*OURS)
    soon(lambda: "198.51.100.50" not in blocked(agent.host))
    assert not fleet.running("rabbitmq")
    fleet.compose.start("rabbitmq")
    soon(fleet.connected)


def test_an_agent_that_hangs_is_unhealthy(fleet: Fleet) -> None:
    """And healthy again when it goes on."""
    soon(lambda: fleet.healthy("agent"))
    (pid,) = [each.pid for each in all_rights(fleet.container("agent").pid) if each.command == "thwart-agent"]
    os.kill(pid, signal.SIGSTOP)
    try:
        soon(lambda: fleet.container("agent").health == "unhealthy")
    finally:
        os.kill(pid, signal.SIGCONT)
    soon(lambda: fleet.healthy("agent"))


def test_no_check_leaves_a_word_in_a_log(fleet: Fleet) -> None:
    """They would bury what matters."""
    soon(lambda: all(len(fleet.checks(service)) == KEPT for service in (*OURS, "rabbitmq")))
    assert "(127.0.0.1:" not in fleet.compose.logs("rabbitmq")
    assert "/live" not in fleet.compose.logs(*OURS)


@pytest.mark.parametrize("service", ["rabbitmq", "agent", "manager"])
def test_a_check_costs_next_to_nothing(fleet: Fleet, service: str) -> None:
    """Some ms of CPU. RabbitMQ's own tools begin with an Erlang machine, and ours with Python: half a second each."""
    soon(lambda: fleet.healthy(service))
    how, *command = fleet.inspected(service)["Config"]["Healthcheck"]["Test"]
    assert how == "CMD"
    said = fleet.compose.exec(service, "bash", "-ec", '"$@"; times', "bash", *command)
    minutes_and_seconds = re.findall(r"(\d+)m([\d.]+)s", said)
    assert len(minutes_and_seconds) == 4  # of the shell and of what it has started, in user and in kernel mode
    assert sum(60 * int(minutes) + float(seconds) for minutes, seconds in minutes_and_seconds) < 0.1


# -- what they protect -----------------------------------------------------------------------------------------------


def test_a_sidecar_protects_its_service_and_a_lone_agent_itself(fleet: Fleet) -> None:
    """A block is in the network of its agent, and in no other: not of a replica, the manager, the machine."""
    target, agent, server = (fleet.agent(each) for each in ("target-agent", "agent", "server"))
    (other,) = [each for each in fleet.replicas() if each.service == "agent" and each.id != agent.id]
    fleet.block("198.51.100.61", target.id)
    fleet.block("198.51.100.62", agent.id)
    soon(lambda: fleet.drops("target-agent", "198.51.100.61") and fleet.drops("agent", "198.51.100.62"))
    assert network(fleet.container("target")) == network(fleet.container("target-agent"))
    assert network(fleet.container("manager")) == network(fleet.container("server"))
    both = {"198.51.100.61", "198.51.100.62"}
    assert both & blocked(target.host) == {"198.51.100.61"}
    assert both & blocked(agent.host) == {"198.51.100.62"}
    assert not both & (blocked(server.host) | blocked(other.host) | blocked(fleet.compose.engine.host))


def test_an_agent_of_the_host_protects_the_host_alone_there(fleet: Fleet, tmp_path: Path) -> None:
    """By deploy/host-agent.yml a block is in the machine's own network. A second agent there says who has it, and ends.
    The machine's own nft, an older one than the agent's here, still lists everything.
    """
    machine = fleet.compose.engine.host
    try:
        with fleet.on_the_machine(tmp_path) as first, fleet.on_the_machine(tmp_path) as second:
            first.up()
            (agent,) = soon(lambda: [each.id for each in fleet.agents().values() if each.labels["service"] == "host"])
            second.up()
            soon(lambda: second.containers()[0].exit_code == 1)
            assert f"an agent protects this network namespace already: {agent} on " in second.logs()
            fleet.block("198.51.100.63", agent)
            soon(lambda: "198.51.100.63" in machine.run("nft", "list", "ruleset"))
            assert not [each for each in fleet.replicas() if "198.51.100.63" in blocked(each.host)]
            soon(lambda: first.containers()[0].health == "healthy")
    finally:
        machine.run("nft", "add table inet thwart; delete table inet thwart")


def test_the_hosts_agent_is_any_other_but_for_its_place(fleet: Fleet, tmp_path: Path) -> None:
    """docker-compose.yml and deploy/host-agent.yml say the same of its image, its rights, its limits and its check."""
    hosts, others = fleet.on_the_machine(tmp_path).services()["agent"], fleet.compose.services()["agent"]
    assert {what for what in hosts.keys() | others.keys() if hosts.get(what) != others.get(what)} <= ITS_PLACE
    assert hosts["healthcheck"]["test"] == others["healthcheck"]["test"]


def test_a_sidecar_follows_its_service_into_its_next_network(fleet: Fleet) -> None:
    """While the service is down its agent stays, and says so: Docker would start it once, and in vain. When it is up
    again, the agent ends, is started in the service's new network, and puts there what should be in force. So also when
    the service crashes, and when Docker Compose restarts it.
    """
    fleet.block("198.51.100.64", fleet.agent("target-agent").id)
    soon(lambda: fleet.drops("target-agent", "198.51.100.64"))
    before = fleet.container("target-agent")
    fleet.compose.stop("target")
    soon(lambda: sidecar.ALONE in fleet.compose.logs("target-agent"))
    assert not ended(before.pid, within=2 * sidecar.STEADY)
    fleet.compose.start("target")
    _followed(fleet, before)
    before = fleet.container("target-agent")
    os.kill(fleet.container("target").pid, signal.SIGKILL)
    _followed(fleet, before)
    before = fleet.container("target-agent")
    fleet.compose.restart("target")
    _followed(fleet, before)


def _followed(fleet: Fleet, before: Container) -> None:
    """The agent was started anew, in its service's network, and its block is there."""
    soon(lambda: fleet.container("target-agent").pid not in (0, before.pid))
    soon(lambda: fleet.drops("target-agent", "198.51.100.64"))
    assert network(fleet.container("target-agent")) == network(fleet.container("target"))


# -- what they take themselves for -----------------------------------------------------------------------------------


def test_an_id_stays_with_its_volume(fleet: Fleet) -> None:
    """Over a restart, and over a new container; a new volume has a new one."""
    before = fleet.ids()
    fleet.compose.restart("agent")
    assert fleet.ids() == before
    containers = {each.id for each in fleet.running("agent")}
    fleet.compose.up("agent", scale={"agent": 2}, options=(*NO_DEPENDENCIES, "--force-recreate"))
    assert containers.isdisjoint(each.id for each in fleet.running("agent"))
    assert fleet.ids() == before
    anew = (*NO_DEPENDENCIES, "--force-recreate", "--renew-anon-volumes")
    fleet.compose.up("agent", scale={"agent": 2}, options=anew)
    assert before.isdisjoint(fleet.ids())


def test_two_agents_never_share_an_id(fleet: Fleet, tmp_path: Path) -> None:
    """Who is given another one's volume ends, and says whose it is."""
    with fleet.with_state_of("agent", tmp_path) as others:
        others.up("agent", options=NO_DEPENDENCIES)
        soon(lambda: "/var/lib/thwart/agent belongs to another process" in others.logs())
        soon(lambda: others.containers("agent")[0].exit_code == 1)


def test_a_removed_agents_queue_is_gone_at_once(fleet: Fleet) -> None:
    """`thwart agents remove` of a replica that was taken away, once it has been silent for half a minute."""
    queue = f"thwart.agent.{fleet.gone}"
    soon(lambda: fleet.agents()[fleet.gone].state == "silent")
    assert queue in fleet.operators("/queues/thwart")
    fleet.compose.exec("manager", "thwart", "agents", "remove", fleet.gone)
    assert queue not in fleet.operators("/queues/thwart")
    assert fleet.gone not in fleet.agents()
