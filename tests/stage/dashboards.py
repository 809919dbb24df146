"""What Grafana would read, as a test wants it: each generated dashboard's panels, and the queries that they make."""

import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct
from thwart_dashboards.panels import QUEUES, RABBITMQ

from tests.stage.prometheus import Queries

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
NAMES = ("fleet", "attacks", "pipeline")
# what RabbitMQ 4.0 has shown, by job
BROKERS = {job: Path(__file__).with_name("sample").joinpath(f"{job}.metrics").read_text() for job in (RABBITMQ, QUEUES)}
# Grafana's own words in a query; $__rate_interval is at least four scrapes
WORDS = {"$__rate_interval": "1m", "$__range": "10m"}


class Asked(Struct, frozen=True, kw_only=True):
    """One query of one panel."""

    where: str  # dashboard and panel
    expression: str  # as Prometheus hears it
    instant: bool
    legend: str


@cache
def read(name: str) -> dict[str, Any]:
    """A dashboard's file."""
    found: dict[str, Any] = json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text())
    return found


def panels(name: str) -> list[dict[str, Any]]:
    """All but the headings."""
    return [each for each in read(name)["panels"] if each["type"] != "row"]


def queries() -> Iterator[Asked]:
    """Every query of every panel."""
    for name in NAMES:
        for panel in panels(name):
            for target in panel["targets"]:
                yield Asked(
                    where=f"{name}: {panel['title']}, {target['refId']}",
                    expression=_heard(target["expr"]),
                    instant=target.get("instant", False),
                    legend=target.get("legendFormat", ""),
                )


def has_data(prometheus: Queries, asked: Asked) -> bool:
    """In the last minute, second by second, or now."""
    now = time.time()
    if asked.instant:
        return bool(prometheus.instant(asked.expression, now))
    return bool(prometheus.span(asked.expression, now - 60, now, 1))


def _heard(expression: str) -> str:
    for word, value in WORDS.items():
        expression = expression.replace(word, value)
    return expression
