"""What a dashboard is made of: numbers, lines, and the queries that both make.

A panel says in its description what it shows and what to do when it is bad. A number that has no data says whom it
misses, because a fleet whose manager is down must not look well.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

# the jobs of deploy/prometheus/prometheus.yml; the last is the managers' queues, one by one
MANAGER, AGENT, RABBITMQ, QUEUES = "thwart-manager", "thwart-agent", "rabbitmq", "rabbitmq-queues"
PLAIN, PER_SECOND, SECONDS, BYTES, SHARE = "short", "cps", "s", "bytes", "percentunit"

Queries = Mapping[str, str]  # PromQL, by what a series of it is called: `{{label}}` is that label's word


class Number(NamedTuple):
    """One number, now."""

    title: str
    what: str
    query: str
    nothing: str  # said without data
    bad: bool = False  # red from 1 on
    unit: str = PLAIN


class Lines(NamedTuple):
    """What it was over time."""

    title: str
    what: str
    queries: Queries
    unit: str = PLAIN
    stacked: bool = False


class Board(NamedTuple):
    """Four numbers, then lines under headings."""

    name: str
    what: str
    numbers: Sequence[Number]
    rows: Mapping[str, Sequence[Lines]]


def rate(metric: str, job: str, *by: str) -> str:
    """What is counted a second, in all of a job or by labels."""
    return f"sum{_by(by)} (rate({_of(metric, job)}[$__rate_interval]))"


def rates(metric: str, job: str, *by: str) -> Queries:
    """What is counted a second by labels, called by their words."""
    return {" ".join(f"{{{{{label}}}}}" for label in by): rate(metric, job, *by)}


def now(metric: str, job: str, *by: str, where: str = "", how: str = "sum") -> str:
    """What it is, in all of a job or by labels."""
    return f"{how}{_by(by)} ({_of(metric, job, where)})"


def counted(metric: str, job: str, where: str = "") -> str:
    """How many there were in the time that is looked at."""
    return f"round(sum(increase({_of(metric, job, where)}[$__range])))"


def quantile(share: float, metric: str, job: str, over: str = "$__rate_interval") -> str:
    """The time within which this share was done; no data, and not NaN, while there was nothing to do."""
    return f"histogram_quantile({share}, sum by (le) (rate({_of(f'{metric}_bucket', job)}[{over}]))) >= 0"


def quantiles(metric: str, job: str, of: str = "") -> Queries:
    """Half of them, and all but one in a hundred."""
    return {f"{of} {name}".strip(): quantile(share, metric, job) for share, name in ((0.5, "p50"), (0.99, "p99"))}


def _of(metric: str, job: str, where: str = "") -> str:
    matchers = ",".join(filter(None, (f'job="{job}"', where)))
    return f"{metric}{{{matchers}}}"


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
