"""Every query of every dashboard, asked a real Prometheus that scrapes a real fleet while it is attacked."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from thwart_dashboards.panels import AGENT, MANAGER, QUEUES, RABBITMQ

from tests.stage.attacker import Attack
from tests.stage.dashboards import Asked, queries
from tests.stage.fleet import API, BROKER_PORT, Fleet
from tests.stage.guard import Guard
from tests.stage.private_broker import PrivateBroker
from tests.stage.prometheus import Prometheus
from tests.waiting import wait_for

ATTACKER, BLOCKED = "203.0.113.66", "203.0.113.77"
METRICS, BROKER_METRICS = 9464, 15692
CONFIGURATION = """\
global: {{scrape_interval: 1s}}
scrape_configs:
- {{job_name: {manager}, static_configs: [{{targets: ["{api}"]}}]}}
- {{job_name: {agent}, static_configs: [{{targets: [{agents}]}}]}}
- {{job_name: {rabbitmq}, static_configs: [{{targets: ["127.0.0.1:{broker}"]}}]}}
- job_name: {queues}
  metrics_path: /metrics/detailed
  params: {{family: [queue_coarse_metrics]}}
  static_configs: [{{targets: ["127.0.0.1:{broker}"]}}]
"""


class ShownBroker(PrivateBroker):
    """A node that shows its metrics on its host's loopback."""

    def _lay_out(self) -> None:
        super()._lay_out()
        self._write("enabled_plugins", "[rabbitmq_prometheus].\n")
        text = (self._folder / "rabbitmq.conf").read_text()
        listen = f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {BROKER_METRICS}\n"
        self._write("rabbitmq.conf", text + listen)


class ShownFleet(Fleet):
    """A fleet whose metrics the manager's host reaches."""

    def _private_broker(self) -> PrivateBroker:
        host = self.hosts["manager1"]
        return ShownBroker(
            self._folder / "broker",
            address=host.address,
            port=BROKER_PORT,
            inside=host.inside,
            connect=lambda to, within: host.connect(to, within),
        )

    def show(self) -> list[str]:
        """Has agents answer on their hosts' addresses; where. Before `start`."""
        for agent in self.agents.values():
            text = agent.configuration.read_text()
            agent.configuration.write_text(text.replace(f"127.0.0.1:{METRICS}", f"{agent.host.address}:{METRICS}"))
        return [f"{agent.host.address}:{METRICS}" for agent in self.agents.values()]


@pytest.fixture
def fleet(guard: Guard, tmp_path: Path) -> Iterator[ShownFleet]:
    one = ShownFleet(guard, tmp_path / "fleet")
    yield one
    one.close()


def watched(guard: Guard, folder: Path, fleet: ShownFleet) -> Prometheus:
    """A Prometheus on the manager's host; the fleet starts with it."""
    agents = ", ".join(f'"{each}"' for each in fleet.show())
    fleet.start()
    host = fleet.hosts["manager1"]
    jobs = {"manager": MANAGER, "agent": AGENT, "rabbitmq": RABBITMQ, "queues": QUEUES}
    text = CONFIGURATION.format(api=API, agents=agents, broker=BROKER_METRICS, **jobs)
    folder.mkdir()
    prometheus = Prometheus(guard, folder, text, inside=host.inside, call=host.call)
    scraped = "count(count_over_time(up[1m]) > 1)"  # what happens before the first scrape is in no rate
    everyone = str(len(fleet.agents) + 3)
    wait_for(lambda: [each["value"][1] for each in prometheus.instant(scraped, time.time())] == [everyone], within=30)
    return prometheus


def has_data(prometheus: Prometheus, asked: Asked) -> bool:
    """In the last minute, second by second, or now."""
    now = time.time()
    if asked.instant:
        return bool(prometheus.instant(asked.expression, now))
    return bool(prometheus.span(asked.expression, now - 60, now, 1))


@pytest.mark.root
@pytest.mark.broker
@pytest.mark.full
def test_every_panel_shows_a_fleet_under_attack(fleet: ShownFleet, guard: Guard, tmp_path: Path) -> None:
    """Nothing on a dashboard stays empty when what it is for happens."""
    prometheus = watched(guard, tmp_path / "prometheus", fleet)
    attack = Attack(fleet.attacker, ATTACKER, fleet.hosts["web1"].address)
    ordered = 'sum(thwart_alerts_total{outcome="ordered"}) > 0'
    assert attack.until(lambda: prometheus.instant(ordered, time.time()) != [], 40)
    fleet.thwart("block", BLOCKED, "--all", "--for", "5m")
    empty = list(queries())

    def full() -> bool:
        empty[:] = [each for each in empty if not has_data(prometheus, each)]
        return not empty

    try:
        wait_for(full, within=40)
    except AssertionError:
        raise AssertionError("without data: " + "; ".join(each.where for each in empty)) from None
    assert prometheus.instant("sum by (job) (up) == 0", time.time()) == []
