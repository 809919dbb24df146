"""Every query of every dashboard, asked a real Prometheus that knows what both daemons and a broker expose."""

import re
import time
from collections.abc import Iterator, Mapping
from functools import partial

import pytest
from thwart_dashboards.fleet import LATE
from thwart_dashboards.panels import AGENT, MANAGER

from agent.journal.settling import Settled
from agent.metrics import AgentMetrics
from manager.metrics import Metrics
from tests.stage.dashboards import BROKERS, Asked, queries
from tests.stage.guard import Guard
from tests.stage.prometheus import Prometheus, samples, with_history
from tests.unit.test_metrics import SEEN

pytestmark = pytest.mark.prometheus

STEP, SCRAPES = 15, 41  # ten minutes
UP = 'up{{job="{job}",instance="{instance}"}} 1 {at:.3f}\n'
ASKED = list(queries())


class Scraped:
    """A manager and two agents, in whose middle of ten minutes everything happens that is counted."""

    def __init__(self) -> None:
        self.end = float(int(time.time()))
        self.start = self.end - STEP * (SCRAPES - 1)
        self._manager, self._agents = Metrics(objective=0.5), {"web1": AgentMetrics(), "web2": AgentMetrics()}

    def history(self) -> Iterator[str]:
        """The scrapes, in their order."""
        for number in range(SCRAPES):
            if number == SCRAPES // 2:
                self._happen()
            at = self.start + STEP * number
            yield self._scrape(MANAGER, "manager", self._manager.exposition().decode(), at)
            for job, exposition in BROKERS.items():
                yield self._scrape(job, "rabbitmq", exposition, at)
            for name, agent in self._agents.items():
                yield self._scrape(AGENT, name, agent.exposition().decode(), at)

    def _scrape(self, job: str, instance: str, exposition: str, at: float) -> str:
        return UP.format(job=job, instance=instance, at=at) + samples(exposition, at, job=job, instance=instance)

    def _happen(self) -> None:
        metrics = self._manager
        metrics.responded("5712")
        metrics.offended(2)
        metrics.alerts.labels("ordered").inc(3)
        metrics.order_answer.observe(1.0)
        metrics.log_to_order.observe(0.1)
        metrics.log_to_applied.observe(0.2)
        metrics.refresh(SEEN)
        for agent in self._agents.values():
            agent.settled(Settled(waits=(0.01,)))
            agent.drifted(2)
            agent.repaired(["missing"])
            agent.seen(effects={"firewall-drop": 5, "host-deny": 1}, outlived=0, unsent=2, connections={"publish": 2})


@pytest.fixture(scope="module")
def scraped() -> Scraped:
    return Scraped()


@pytest.fixture(scope="module")
def prometheus(scraped: Scraped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One for all: it only reads."""
    with Guard() as guard:
        yield with_history(guard, tmp_path_factory.mktemp("prometheus"), scraped.history())


def drawn_as(asked: Asked, labels: Mapping[str, str]) -> str:
    """What Grafana calls a series."""
    return re.sub(r"{{(\w+)}}", lambda label: labels[label[1]], asked.legend)


@pytest.mark.parametrize("asked", ASKED, ids=[each.where for each in ASKED])
def test_every_query_of_every_panel_has_data(asked: Asked, prometheus: Prometheus, scraped: Scraped) -> None:
    """And each line that it draws can be told from the others by its name."""
    over = partial(prometheus.span, start=scraped.start, end=scraped.end, step=STEP)
    found = prometheus.instant(asked.expression, scraped.end) if asked.instant else over(asked.expression)
    assert found
    names = [drawn_as(asked, each["metric"]) for each in found]
    assert len(names) == len(set(names))
    assert all(number != "NaN" for each in found for _, number in each.get("values", [each.get("value", (0, ""))]))


def number(prometheus: Prometheus, title: str, at: float) -> float:
    """What a dashboard's number says."""
    (asked,) = (each for each in ASKED if each.where == f"{title}, A")
    (series,) = prometheus.instant(asked.expression, at)
    return float(series["value"][1])


@pytest.mark.parametrize(
    "title, value",
    [
        ("fleet: Answers overdue", 3),
        ("fleet: Drift not repaired", 4),
        ("fleet: Silent agents", 6),
        ("attacks: Blocks in force", 12),
        ("attacks: Alerts that led to orders", 3),
        ("attacks: Orders on hold", 2),
        ("pipeline: Unsent", 5),
        ("pipeline: Broker alarms", 0),
    ],
)
def test_a_number_is_the_whole_fleets(title: str, value: float, prometheus: Prometheus, scraped: Scraped) -> None:
    """Summed over agents, and not over what manager and agents count both."""
    assert number(prometheus, title, scraped.end) == value


def test_the_objective_is_what_the_answers_are_measured_by(prometheus: Prometheus, scraped: Scraped) -> None:
    """One second is 200 % of half a second; without an order there is no number, rather than NaN."""
    assert number(prometheus, "fleet: Order → answer, p99 of its objective", scraped.end) == pytest.approx(2, rel=0.02)
    assert prometheus.instant(LATE, scraped.start + 60) == []
