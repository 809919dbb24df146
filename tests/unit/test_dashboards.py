"""Grafana's dashboards: the files are what the code says, and everything that they name exists."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from thwart_dashboards import written
from thwart_dashboards.panels import AGENT, MANAGER

from tests.stage.dashboards import BROKERS, GRAFANA, NAMES, panels, queries, read
from tests.unit.test_help import understood
from tests.unit.test_metrics import Described, described

OURS = {MANAGER: described("The manager's"), AGENT: described("An agent's")}
THEIRS = {"process_resident_memory_bytes", "process_cpu_seconds_total", "up"}
_SELECTED = re.compile(r"\b((?:thwart|rabbitmq|process)_\w+|up)\b(?:\{([^}]*)\})?")
_PARTS = re.compile(r"_(bucket|count|sum)$")


def selected(expression: str) -> list[tuple[str, str]]:
    """The metrics that a query names, without a histogram's parts, each with what it is matched by."""
    return [(_PARTS.sub("", name), matched) for name, matched in _SELECTED.findall(expression)]


def meant(matched: str) -> list[dict[str, Described]]:
    """The tables of the daemons that a selector is about."""
    (jobs,) = re.findall(r'job=~?"([^"]+)"', matched)
    return [OURS[job] for job in jobs.split("|")]


def test_the_files_are_what_the_code_makes() -> None:
    """Who changed one without the other: run scripts/dashboards, or change the code."""
    folder = GRAFANA / "dashboards"
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict(written())
    assert {f"{name}.json" for name in NAMES} == set(dict(written()))


@pytest.mark.prometheus
def test_prometheus_reads_every_query(tmp_path: Path) -> None:
    """As rules, which are queries with a name."""
    asked = list(queries())
    rules = [f"  - record: q{number}\n    expr: >-\n      {each.expression}\n" for number, each in enumerate(asked)]
    (tmp_path / "rules.yml").write_text("groups:\n- name: dashboards\n  rules:\n" + "".join(rules))
    said = subprocess.run(
        ["promtool", "check", "rules", "--lint=none", "rules.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (said.returncode, f"{len(asked)} rules found" in said.stdout) == (0, True), said.stdout + said.stderr
    assert len(asked) > 50


def test_every_metric_that_a_query_names_exists() -> None:
    """Ours are in METRICS.md for the daemon that is asked, the broker's among those that RabbitMQ 4.0 has shown."""
    for each in queries():
        found = selected(each.expression)
        assert found, each
        for name, matched in found:
            if name.startswith("thwart_"):
                assert all(name in table for table in meant(matched)), (each.where, name)
            elif name.startswith("rabbitmq_"):
                (job,) = re.findall(r'job="([^"]+)"', matched)
                assert f"# TYPE {name} " in BROKERS[job], (each.where, name)
            else:
                assert name in THEIRS, (each.where, name)


def test_every_label_that_a_query_names_exists() -> None:
    """What is grouped by, matched, or shown in a legend; with a word of that label's."""
    for each in queries():
        for name, matched in selected(each.expression):
            if not name.startswith("thwart_"):
                continue
            for table in meant(matched):
                labels = {**table[name][1], "job": set(OURS), "le": set()}
                grouped = re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", each.expression)))
                assert {*grouped, *re.findall(r"{{(\w+)}}", each.legend)} <= set(labels), each
                for label, word in re.findall(r'(\w+)="([^"]*)"', matched):
                    assert word in labels[label], each


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_is_found_by_what_the_provisioning_says(name: str) -> None:
    """Each panel and each query asks the data source that is made beside it, by its uid."""
    source = (GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text()
    (uid,) = re.findall(r"^    uid: (\S+)$", source, re.MULTILINE)
    asked = [each["datasource"] for panel in panels(name) for each in (panel, *panel["targets"])]
    assert all(each == {"type": "prometheus", "uid": uid} for each in asked)
    assert read(name)["uid"] == f"thwart-{name}"


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_has_its_place_and_says_what_it_shows(name: str) -> None:
    """None lies on another or beyond the edge, no number is used twice."""
    taken: set[tuple[int, int]] = set()
    for panel in read(name)["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells
    assert all(panel["description"].endswith((".", "`.")) for panel in panels(name))
    ids = [panel["id"] for panel in read(name)["panels"]]
    assert len(ids) == len(set(ids))
    first = [panel for panel in panels(name) if panel["gridPos"]["y"] == 0]
    assert [panel["type"] for panel in first] == ["stat"] * 4


def test_the_fleets_prometheus_has_what_the_queries_go_by() -> None:
    """Its jobs by their names; and Grafana knows how often it scrapes, which a rate is never taken over less of."""
    configuration = (GRAFANA.parent / "prometheus" / "prometheus.yml").read_text()
    jobs = {each for asked in queries() for each in re.findall(r'job=~?"([^"]+)"', asked.expression)}
    assert {each for named in jobs for each in named.split("|")} <= set(re.findall(r"job_name: (\S+)", configuration))
    (often,) = re.findall(r"^  scrape_interval: (\S+)$", configuration, re.MULTILINE)
    assert f"timeInterval: {often} " in (GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text()


def test_the_commands_that_panels_name_are_understood() -> None:
    """Who sees red is told what to type, and it works."""
    named = [
        command
        for name in NAMES
        for panel in panels(name)
        for command in re.findall(r"`(thwart[^`]*)`", panel["description"])
    ]
    assert len(named) > 10
    assert [each for each in named if not understood(shlex.split(each))] == []


def test_a_number_without_data_does_not_look_well() -> None:
    """It says whom it misses, and isn't green."""
    for name in NAMES:
        for panel in panels(name):
            if panel["type"] == "stat":
                defaults = panel["fieldConfig"]["defaults"]
                (mapping,) = defaults["mappings"]
                said = mapping["options"]["result"]
                assert mapping["options"]["match"] == "null"
                assert said["text"] == defaults["noValue"]
                assert said["text"].startswith("no ")
                assert said["color"] != "green"
