"""deploy/prometheus: what Prometheus is told to scrape and to alert on, against the code and by its own tool."""

import re
import subprocess
from pathlib import Path

import pytest

from agent.metrics import AgentMetrics
from manager.metrics import Metrics
from shared.metrics import CollectorRegistry
from shared.topology import agent_lock, agent_queue, manager_queues
from tests.unit.test_help import understood
from tests.unit.test_metrics import coded

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
CONFIG, ALERTS = (FOLDER / "prometheus.yml").read_text(), (FOLDER / "alerts.yml").read_text()
CASES = (FOLDER / "tests" / "alerts.yml").read_text()
REGISTRIES = {"thwart-manager": Metrics().registry, "thwart-agent": AgentMetrics().registry}
OURS = re.compile(r"\b(thwart_\w+)(?:\{([^}]*)\})?")
RULE = re.compile(r"^      - alert: (\w+)\n(.*?)(?=^      - alert|^  - name|\Z)", re.MULTILINE | re.DOTALL)
RULES = dict(RULE.findall(ALERTS))


def promtool(*words: str) -> None:
    """It is content."""
    said = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, timeout=30, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.prometheus
def test_prometheus_reads_the_settings_and_the_alerts() -> None:
    """Those that containers are started with, as they are."""
    promtool("check", "config", "prometheus.yml")


@pytest.mark.prometheus
def test_each_alert_fires_when_it_should_and_only_then() -> None:
    """By Prometheus' own rules' tests, with series made up for each; see deploy/prometheus/tests."""
    promtool("test", "rules", "tests/alerts.yml")


@pytest.mark.parametrize("name", RULES)
def test_each_alert_is_tested_and_says_what_to_do(name: str) -> None:
    """Whoever is woken by it is told how bad it is and where to begin."""
    assert re.search(rf'alertname="{name}"[^}}]*\}}[\'"]?(?:, |\n *)value: 1', CASES)
    assert re.search(r"severity: (critical|warning)\n", RULES[name])
    assert re.search(r"summary: .+\n", RULES[name])
    assert re.search(r"runbook: >-\n +\S.{20}", RULES[name])


def test_what_a_runbook_says_to_type_is_understood() -> None:
    """Names of commands and options change; at night nobody wants to look for the new ones."""
    calls = [" ".join(each.split()) for each in re.findall(r"`(thwart(?:-agent)? [^`]+)`", ALERTS)]
    assert len(calls) > 10
    assert [each for each in calls if not understood(each.split())] == []


def words_of(registry: CollectorRegistry) -> dict[str, dict[str, set[str]]]:
    """The labels and their words, by each name that a query can use."""
    found = {}
    for name, (kind, labels, _) in coded(registry).items():
        for end in ("_bucket", "_count", "_sum") if kind == "histogram" else ("",):
            found[name + end] = labels
    return found


def test_alerts_go_by_metrics_and_words_that_there_are() -> None:
    """A query for a name that nobody exposes is never true, and nobody would notice."""
    known = words_of(REGISTRIES["thwart-manager"]) | words_of(REGISTRIES["thwart-agent"])
    asked = [rule.partition("labels:\n")[0] for rule in RULES.values()]
    used = [each for query in asked for each in OURS.findall(query)]
    assert len(used) > 10
    for name, labels in used:
        assert name in known
        assert all(word in known[name][label] for label, word in re.findall(r'(\w+)!?="(\w+)"', labels))
    told = {name for rule in RULES.values() for name, _ in OURS.findall(rule.partition("labels:\n")[2])}
    assert told <= {name for registry in REGISTRIES.values() for name in coded(registry)}


def jobs() -> dict[str, str]:
    """The text of each job's settings, by its name."""
    parts = re.split(r"^  - job_name: ", CONFIG, flags=re.MULTILINE)[1:]
    return {name: rest for name, _, rest in (each.partition("\n") for each in parts)}


def test_alerts_go_by_jobs_that_there_are() -> None:
    """`up` is only there under the name that a job has."""
    assert set(re.findall(r'job="([\w-]+)"', ALERTS)) <= set(jobs())


@pytest.mark.parametrize("job", REGISTRIES)
def test_a_daemon_stays_within_what_its_job_may_bring(job: str) -> None:
    """Over its limit nothing of it would be taken in; an agent is bounded by what the file says of it."""
    series = sum(len(family.samples) for family in REGISTRIES[job].collect())
    assert series <= int(re.findall(r"sample_limit: (\d+)", jobs()[job])[0]) / 2
    if job == "thwart-agent":
        assert series < int(re.findall(r"an agent has fewer than (\d+) series", CONFIG)[0])


def test_of_the_queues_only_the_managers_have_a_series() -> None:
    """There are two for each agent; what all of them hold together is in the broker's own figures."""
    kept = re.compile(re.findall(r"regex: (rabbitmq_detailed\S+)", jobs()["rabbitmq-queues"])[0])
    names = [each.name for each in manager_queues("classic")]
    assert all(kept.fullmatch(f"rabbitmq_detailed_queue_messages;{each}") for each in names)
    others = [agent_queue("web1", (), "classic").name, agent_lock("web1").name]
    assert not any(kept.fullmatch(f"rabbitmq_detailed_queue_messages;{each}") for each in others)
    assert not kept.fullmatch(f"rabbitmq_detailed_queue_process_reductions_total;{names[0]}")


def test_the_queues_that_may_not_grow_are_those_that_managers_take_from() -> None:
    """What is set aside is bounded, and stays."""
    wanted = re.compile(re.findall(r'queue=~"(\S+\))"', RULES["ThwartQueueGrows"])[0])
    grown = {each.name for each in manager_queues("classic") if wanted.fullmatch(each.name)}
    aside = {each.name for each in manager_queues("classic") if each.name.endswith((".dead", ".unroutable"))}
    assert grown == {each.name for each in manager_queues("classic")} - aside
