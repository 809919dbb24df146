"""docker-compose.yml itself, as its first user runs it: scaled, attacked, its broker killed, all of it restarted."""

import json
import os
import re
import secrets
import signal
import time
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from thwart_dashboards.panels import AGENT, MANAGER, QUEUES, RABBITMQ

from agent.host import own_addresses
from tests.stage.compose import EVERY_PROFILE, Compose
from tests.stage.compose_program import ComposeProgram
from tests.stage.container_fleet import PAUSE, ContainerFleet, Replica, blocked
from tests.stage.dashboards import has_data, queries
from tests.stage.engine import PROJECT, Engine
from tests.stage.network import Host
from tests.stage.probe import LIMIT
from tests.waiting import wait_for, wait_until_none

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

FIRST, SECOND = "198.51.100.1", "198.51.100.2"
MACHINE = "rack-7"  # what the machine's shell calls it
SETTINGS = PROJECT / "deploy" / "prometheus"
# What a user waits for longer: an hour until somebody is gone, and half a minute between two scrapes.
SOONER = """
services:
  manager: {{environment: {{THWART_MANAGER_GONE_AFTER: "20"}}}}
  prometheus: {{volumes: ["{settings}:/etc/prometheus/prometheus.yml:ro"]}}
"""
AT_ONCE = 20.0  # s for what a new replica is told to be in its kernel, on a busy machine
IN_TIME = 60.0  # s for what takes a while
LOAD = 20  # orders before the broker dies, and as many once it is back
SSH = 22
KILLED = 128 + signal.SIGKILL  # the exit code of whom Docker didn't wait for any longer
ALONE = ("server", "target-agent")  # services that have one agent, and a volume with a name for it


def reaches(one: Host, other: Host) -> bool:
    """Whether `one` can connect to the sshd of `other`, at any of its addresses."""
    for address in other.call(own_addresses):
        with suppress(OSError), one.connect((address, SSH), LIMIT):
            return True
    return False


def ids(replicas: list[Replica], service: str) -> set[str]:
    """Of its agents."""
    return {each.id for each in replicas if each.service == service}


class Story:
    """What happens to the fleet, one step after the other. Each ends when everything is where it should be."""

    def __init__(self, fleet: ContainerFleet) -> None:
        self.fleet, self.compose = fleet, fleet.compose
        self.everywhere: set[str] = set()  # what was ordered on all

    def scaled(self, count: int) -> dict[str, str]:
        """To so many agents; their ids, by container."""
        self.compose.up(scale={"agent": count})
        found = {each.container: each.id for each in self.whole() if each.service == "agent"}
        assert len(found) == len(set(found.values())) == count
        return found

    def ordered_on_all(self, target: str) -> None:
        """And carried out by everyone who is there."""
        self.fleet.block(target)
        self.everywhere.add(target)
        self.whole()

    def whole(self, since: float = 0.0) -> list[Replica]:
        """Every agent runs, started `since` then, is known and owes nothing, and its kernel has what the ledger says:
        among that, everything that was ordered on all.
        """
        replicas = self.fleet.settled(since)
        wait_until_none(lambda: self.lacking(replicas), AT_ONCE, PAUSE)
        wait_until_none(lambda: self.fleet.owed(replicas) + self.fleet.differences(replicas), IN_TIME, PAUSE)
        return replicas

    def lacking(self, replicas: list[Replica]) -> list[str]:
        """Who has not all that was ordered on all."""
        without = [(each.container, self.everywhere - blocked(each.host)) for each in replicas]
        return [f"{container} has not {', '.join(sorted(lacks))}" for container, lacks in without if lacks]

    def labels(self) -> dict[str, dict[str, str]]:
        """By id, as somebody at the keyboard reads them."""
        said = json.loads(self.compose.exec("manager", "thwart", "agents", "-o", "json"))
        return {each["id"]: each["labels"] for each in said}

    def seen_by_prometheus(self, jobs: Mapping[str, int]) -> None:
        """It finds so many of each job by itself, has scraped each more than once, and knows what to be alarmed by."""
        prometheus = self.fleet.prometheus()

        def others() -> list[str]:
            query = "count by (job) (count_over_time(up[1m]) > 1 and up == 1)"
            found = {each["metric"]["job"]: int(each["value"][1]) for each in prometheus.instant(query, time.time())}
            return [] if found == jobs else [f"it finds {found}"]

        wait_until_none(others, IN_TIME, PAUSE)
        assert prometheus.alerts() == set(re.findall(r"- alert: (\w+)", (SETTINGS / "alerts.yml").read_text()))

    def attacked(self) -> None:
        """The host that is attacked drops the attacker and nobody else, no other host does, and the ledger says why."""
        self.with_attack()
        target = next(each for each in self.fleet.settled() if each.service == "target-agent")
        attacker = self.fleet.host("attacker")
        (source,) = attacker.call(own_addresses)
        wait_for(lambda: source in blocked(target.host), IN_TIME, PAUSE)
        assert not reaches(attacker, target.host)
        assert reaches(self.fleet.host("prometheus"), target.host)
        wait_for(lambda: self.answers(source) == [(target.id, "applied", "5712")], AT_ONCE, PAUSE)
        self.whole()

    def answers(self, source: str) -> list[tuple[str, str | None, str]]:
        """To the orders on `source`: who, what, and by which rule."""
        given = [each for each in self.fleet.orders() if each.target == source and each.order]
        return [(row.agent_id, row.status, each.order.rule_id) for each in given if each.order for row in each.agents]

    def shown(self) -> None:
        """The target's figures are there, and no panel of any dashboard stays empty."""
        prometheus = self.fleet.prometheus()
        effects = 'max_over_time(sum(thwart_effects{service="target",action="firewall-drop"})[2m:1s])'
        more = f"{effects} > {len(self.everywhere)}"  # what is dropped everywhere, and the attacker
        wait_for(lambda: prometheus.instant(more, time.time()), AT_ONCE, PAUSE)
        empty = list(queries())

        def without_data() -> list[str]:
            empty[:] = [each for each in empty if not has_data(prometheus, each)]
            return [each.where for each in empty]

        wait_until_none(without_data, IN_TIME, PAUSE)

    def dropped_everywhere(self) -> None:
        """The attacker, once it guesses at an account that exists: before that the target alone has dropped it."""
        (source,) = self.fleet.host("attacker").call(own_addresses)
        wanted = {(each.id, "applied", "5763") for each in self.fleet.replicas()}
        wait_for(lambda: wanted <= set(self.answers(source)), 2 * IN_TIME, PAUSE)

    def gone(self, ids: Set[str]) -> None:
        """Nothing more is expected of replicas that were taken away."""
        wait_for(lambda: {self.fleet.agents()[each].state for each in ids} == {"gone"}, IN_TIME, PAUSE)
        rows = [row for order in self.fleet.orders() for row in order.agents if row.agent_id in ids]
        assert {row.state for row in rows if not row.status} == {"withdrawn"}

    def broker_killed(self) -> None:
        """Under a load of orders. It comes back by itself, and what was ordered meanwhile is carried out."""
        (before,) = self.fleet.running("rabbitmq")
        with self.fleet.load([each.id for each in self.fleet.replicas()]) as load:
            wait_for(lambda: len(load.given) >= LOAD, IN_TIME)
            os.kill(before.pid, signal.SIGKILL)
            wait_for(lambda: any(not order.sent_at for order in self.fleet.orders()), AT_ONCE, PAUSE)
            wait_for(self.fleet.connected, IN_TIME, PAUSE)
            enough = len(load.given) + LOAD
            wait_for(lambda: len(load.given) >= enough, IN_TIME)
        assert [each.id for each in self.fleet.running("rabbitmq")] == [before.id]
        assert {each.target for each in self.fleet.orders()} >= set(load.given)
        self.everywhere |= load.everywhere
        self.whole()

    def restarted(self) -> None:
        """Each container has a new network, so each kernel had nothing; each agent is who it was."""
        since, before = time.time(), {each.container: each.id for each in self.fleet.replicas()}
        self.compose.run("--profile", "attack", "restart")
        assert {each.container: each.id for each in self.whole(since)} == before

    def begun_anew(self) -> None:
        """Everyone ends in the time that it has for that, and then every container is another one. The replicas are new
        agents; who has no replicas is who it was.
        """
        before = self.fleet.replicas()
        self.compose.run("--profile", "attack", "stop")
        assert [each.name for each in self.compose.containers() if each.exit_code == KILLED] == []
        self.compose.down()
        self.with_attack()
        after = self.whole()
        assert ids(before, "agent") & ids(after, "agent") == set()
        assert [ids(before, each) for each in ALONE] == [ids(after, each) for each in ALONE]

    def with_attack(self) -> None:
        """Starts what doesn't run, with five agents."""
        self.compose.run("--profile", "attack", "up", "--detach", "--no-build", "--scale", "agent=5")


@pytest.fixture
def story(engine: Engine, tmp_path: Path) -> Iterator[Story]:
    settings = tmp_path / "prometheus.yml"
    settings.write_text(re.sub(r"(_interval: )\d+s", r"\g<1>2s", (SETTINGS / settings.name).read_text()))
    override, environment = SOONER.format(settings=settings), {"HOSTNAME": MACHINE}
    with Compose(engine, tmp_path, override=override, environment=environment) as compose:
        yield Story(ContainerFleet(compose))


def test_nothing_is_lost(story: Story) -> None:
    """From one agent to five, two and five again, through an attack, the broker's death under load, a restart of
    everything and a new beginning on the same ledger: every order is answered by everyone it is for, and every kernel
    has what the ledger says.
    """
    one = story.scaled(1)
    story.ordered_on_all(FIRST)
    five = story.scaled(5)
    assert one.items() <= five.items()
    labels = {"service": "agent", "image": "thwart-agent", "host": MACHINE}
    assert [story.labels()[each] for each in five.values()] == [labels] * 5
    two = story.scaled(2)
    assert two.items() <= five.items()
    left = set(five.values()) - set(two.values())
    story.ordered_on_all(SECOND)
    again = story.scaled(5)
    assert two.items() <= again.items()
    assert not left & set(again.values())
    story.seen_by_prometheus({MANAGER: 1, AGENT: 6, RABBITMQ: 1, QUEUES: 1})
    story.attacked()
    story.gone(left)
    story.shown()
    story.broker_killed()
    story.dropped_everywhere()  # which takes a while from the attack on
    story.restarted()
    story.begun_anew()


def test_a_fresh_clone_needs_no_step_before(engine: Engine, tmp_path: Path) -> None:
    """Where there is no image of ours yet, `up` makes each, for the services too that have it from another one."""
    config = ComposeProgram(engine).run("--project-directory", str(PROJECT), *EVERY_PROFILE, "config", "--format=json")
    images = {name: each["image"] for name, each in json.loads(config)["services"].items() if name != "grafana"}
    mark = secrets.token_hex(4)
    new = {name: f"{image}:{mark}" for name, image in images.items() if image.startswith("thwart-")}
    override = json.dumps({"services": {name: {"image": image} for name, image in new.items()}})
    with ExitStack() as stack:
        for image in set(new.values()):
            stack.callback(engine.client.remove_image, image)
        first = stack.enter_context(Compose(engine, tmp_path, profiles=("attack",), override=override))
        first.run("up", "--no-start")
        assert {each.service for each in first.containers()} == images.keys()
