"""METRICS.md against the code of both daemons, and what no label may ever be."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.actions.catalogue import BUILT_IN
from agent.metrics import ACTIONS, AgentMetrics
from manager import reasons
from manager.metrics import Metrics, Seen
from shared.errors import MessageError
from shared.metrics import CollectorRegistry

TABLES = (Path(__file__).parents[2] / "METRICS.md").read_text()
ROW = re.compile(r"^\| `(?P<name>thwart_\w+)` \| (?P<kind>\w+) \| (?P<labels>.*?) \| (?P<what>.+) \|$", re.MULTILINE)
SETS = re.compile(r"`(\w+)`: ((?:`[^`]+`(?:, )?)+|the program's)")

Described = tuple[str, dict[str, set[str]], str]

SEEN = Seen(
    unsent=1,
    on_hold=2,
    overdue=3,
    oldest_unanswered=4.5,
    lives={"living": 5, "silent": 6},
    skew=7.5,
    ledger=8_192,
    connections={"orders": 2},
)


def described(title: str) -> dict[str, Described]:
    """Type, labels with their words, and meaning of each metric in the table under `title`."""
    table = TABLES.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return {row["name"]: (row["kind"], _labels(row["labels"]), row["what"]) for row in ROW.finditer(table)}


def _labels(text: str) -> dict[str, set[str]]:
    return {label: set(re.findall(r"`([^`]+)`", words)) for label, words in SETS.findall(text)}


def coded(registry: CollectorRegistry) -> dict[str, Described]:
    """The same, from what is exposed."""
    found = {}
    for family in registry.collect():
        if family.name.startswith("process_"):
            continue
        labels: dict[str, set[str]] = {}
        for sample in family.samples:
            for label, word in sample.labels.items():
                labels.setdefault(label, set()).add(word)
        labels.pop("le", None)
        if "version" in labels:
            labels["version"] = set()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = family.type, labels, family.documentation
    return found


def coded_words(exposition: str) -> set[str]:
    """The names of what a daemon exposes, as its text says them."""
    return set(re.findall(r"^# TYPE (thwart_\w+) ", exposition, re.MULTILINE))


@pytest.mark.parametrize(
    "title, registry", [("The manager's", Metrics().registry), ("An agent's", AgentMetrics().registry)]
)
def test_the_tables_are_what_the_code_exposes(title: str, registry: CollectorRegistry) -> None:
    """Names, types, labels, each label's words, and the sentence."""
    assert described(title) == coded(registry)


def test_the_objective_is_a_metric_and_the_edge_of_a_bucket() -> None:
    """Also one that is no round number: what is within it is counted, not guessed."""
    metrics = Metrics(objective=0.7)
    metrics.order_answer.observe(0.69)
    metrics.order_answer.observe(0.71)
    value = metrics.registry.get_sample_value
    assert value("thwart_order_answer_objective_seconds") == 0.7
    assert value("thwart_order_answer_seconds_bucket", {"le": "0.7"}) == 1.0


def test_what_is_looked_up_is_shown() -> None:
    """Reconnects are counted from the second connection on, whatever was seen before."""
    metrics = Metrics()
    for made in (1, 3, 3):
        metrics.refresh(replace(SEEN, connections={"orders": made, "events": 0, "logs": 1}))
    value = metrics.registry.get_sample_value
    assert value("thwart_unsent") == 1
    assert value("thwart_orders_on_hold") == 2
    assert value("thwart_overdue_answers") == 3
    assert value("thwart_oldest_unanswered_seconds") == 4.5
    assert value("thwart_agents", {"state": "silent"}) == 6
    assert value("thwart_agents_skew_seconds") == 7.5
    assert value("thwart_ledger_bytes") == 8_192
    assert value("thwart_reconnects_total", {"link": "orders"}) == 2
    assert value("thwart_reconnects_total", {"link": "events"}) == 0


def test_rules_are_counted_by_id_and_never_more_than_200() -> None:
    """Nor by what is no rule's id: alerts come from other correlators too."""
    metrics = Metrics()
    for rule in ("5712", "5712", "203.0.113.9", "1234567890123", *map(str, range(100_000, 100_300)), "5712"):
        metrics.responded(rule)
    value = metrics.registry.get_sample_value
    assert value("thwart_rule_alerts_total", {"rule": "5712"}) == 3
    assert value("thwart_rule_alerts_total", {"rule": "other"}) == 2 + 101
    assert value("thwart_rule_alerts_total", {"rule": "203.0.113.9"}) is None


def test_offences_are_counted_by_how_many_there_were() -> None:
    """From the fifth on together."""
    metrics = Metrics()
    for offence in (1, 1, 4, 5, 6):
        metrics.offended(offence)
    value = metrics.registry.get_sample_value
    shown = {each: value("thwart_offences_total", {"offence": each}) for each in ("1", "2", "4", "more")}
    assert shown == {"1": 2, "2": 0, "4": 1, "more": 2}


@pytest.mark.parametrize("figures", [Metrics, AgentMetrics])
def test_the_version_that_runs_is_shown(figures: type[Metrics | AgentMetrics], upgraded: str) -> None:
    """Not the one on the disk: that is how a dashboard tells who is still to be restarted."""
    assert figures().registry.get_sample_value("thwart_build_info", {"version": upgraded}) == 1


def test_what_the_process_takes_is_shown() -> None:
    """By the names that every dashboard knows."""
    assert (Metrics().registry.get_sample_value("process_resident_memory_bytes") or 0) > 1_000_000


def test_scripts_of_any_name_are_counted_together() -> None:
    """A label's words are closed, and what an operator calls a script is not."""
    metrics = AgentMetrics()
    metrics.seen(effects={"firewall-drop": 2, "page-me": 3, "203.0.113.9": 4}, outlived=5, unsent=0, connections={})
    value = metrics.registry.get_sample_value
    assert {action: value("thwart_effects", {"action": action}) for action in ACTIONS} == {
        **dict.fromkeys(ACTIONS, 0),
        "firewall-drop": 2,
        "other": 7,
    }
    assert value("thwart_effects_outlived") == 5


def test_what_is_built_in_is_counted_by_its_name() -> None:
    """Whatever this host's system is."""
    assert set(BUILT_IN) | {"other"} <= set(ACTIONS)


def test_every_reason_of_our_own_is_among_those_that_are_counted() -> None:
    """Else it would be counted as `other`, and `thwart dead-letters --reason` would not know it."""
    assert {each.reason for each in MessageError.__subclasses__()} <= set(reasons.DEAD)
