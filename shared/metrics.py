"""Metrics: the only module that imports prometheus_client.

Names are `thwart_<noun>_<unit|total>`. A label comes with every word that it can ever have, and each series is there
from the start, at 0: a rate over it is right from the first event on. No label is ever an address or an agent.
"""

import math
from collections.abc import Collection, Mapping
from itertools import product
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from shared.version import RUNNING

__all__ = ["CONTENT_TYPE", "CollectorRegistry", "Figures", "Reconnects", "closed"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # s

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a series began is for nobody, and doubles them

Metric = TypeVar("Metric", Counter, Gauge)


class Figures:
    """Makes metrics in one registry, so that two daemons in one process don't share figures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # what it takes: process_resident_memory_bytes and the like
        self.gauge("thwart_build_info", "The program that runs; always 1.", version=(RUNNING,)).labels(RUNNING).set(1)

    def counter(self, name: str, what: str, **labels: Collection[str]) -> Counter:
        """Counts up from 0; each label with all of its words."""
        return _all_at_0(Counter(name, what, tuple(labels), registry=self.registry), labels)

    def gauge(self, name: str, what: str, **labels: Collection[str]) -> Gauge:
        """Goes up and down; each label with all of its words."""
        return _all_at_0(Gauge(name, what, tuple(labels), registry=self.registry), labels)

    def histogram(self, name: str, what: str, edge: float = 1.0) -> Histogram:
        """Seconds, with a bucket that ends at `edge`, so that what is within it is counted and not guessed."""
        return Histogram(name, what, buckets=sorted({*LATENCIES, edge, math.inf}), registry=self.registry)

    def exposition(self) -> bytes:
        """What `/metrics` answers."""
        return generate_latest(self.registry)


class Reconnects:
    """Counts the connections of each link after its first."""

    def __init__(self, figures: Figures, links: Collection[str]) -> None:
        self._counter = figures.counter(
            "thwart_reconnects_total", "Connections to the broker made anew, by what the link is for.", link=links
        )
        self._connections: dict[str, int] = {}

    def seen(self, connections: Mapping[str, int]) -> None:
        """How many connections each link has made so far."""
        for link, made in connections.items():
            before = self._connections.get(link, 1)  # the first one is no reconnect
            self._counter.labels(link).inc(max(0, made - before))
            self._connections[link] = max(made, before)


def closed(word: str, words: Collection[str]) -> str:
    """`word` if it is one of `words`, else `other`, so that no sender can make up labels."""
    return word if word in words else "other"


def _all_at_0(metric: Metric, labels: Mapping[str, Collection[str]]) -> Metric:
    for words in product(*labels.values()) if labels else ():
        metric.labels(*words)
    return metric
