"""Grafana's dashboards as code. `scripts/dashboards` writes them to `deploy/grafana/dashboards/`, where nobody edits.

Made for Grafana 11.6 with grafana-foundation-sdk. Every figure in them is in METRICS.md, or is RabbitMQ's own.
"""

from collections.abc import Iterator
from json import dumps
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from thwart_dashboards import attacks, fleet, pipeline

__all__ = ["FOLDER", "written"]

FOLDER = Path(__file__).parents[1] / "dashboards"


def written() -> Iterator[tuple[str, str]]:
    """Each dashboard's file name and text."""
    for name, make in (("fleet", fleet.dashboard), ("attacks", attacks.dashboard), ("pipeline", pipeline.dashboard)):
        yield f"{name}.json", _text(make())


def _text(dashboard: Dashboard) -> str:
    return dumps(dashboard.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
