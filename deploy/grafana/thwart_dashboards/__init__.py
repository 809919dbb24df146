"""Grafana's dashboards as code. `scripts/dashboards` writes them to `deploy/grafana/dashboards/`, where nobody edits.

Made for Grafana 11.6 with grafana-foundation-sdk. Every figure in them is in METRICS.md, or is RabbitMQ's own.
"""

from collections.abc import Iterator
from pathlib import Path

from thwart_dashboards import attacks, fleet, grafana, pipeline

__all__ = ["FOLDER", "written"]

FOLDER = Path(__file__).parents[1] / "dashboards"


def written() -> Iterator[tuple[str, str]]:
    """Each dashboard's file name and text."""
    for board in (fleet.BOARD, attacks.BOARD, pipeline.BOARD):
        yield f"{board.name.lower()}.json", grafana.text(board)
