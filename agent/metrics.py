"""The agent's metrics. No label is ever an address."""

from collections.abc import Iterable, Mapping

from agent.journal.settling import Settled
from shared.messages import Acknowledgement
from shared.metrics import LATENCIES, CollectorRegistry, Counter, Gauge, Histogram


class AgentMetrics:
    """What `/metrics` shows, and who sets it."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._answers = Counter(
            "thwart_acknowledgements_total", "Orders answered, by status", ["status"], registry=registry
        )
        self._ends = Counter("thwart_expiries_total", "Orders that ended, by outcome", ["outcome"], registry=registry)
        self._apply = Histogram(
            "thwart_apply_seconds",
            "From an order taken to its effect applied",
            buckets=LATENCIES,
            registry=registry,
        )
        self._effects = Gauge(
            "thwart_effects", "Effects in force at the last heartbeat, by action", ["action"], registry=registry
        )
        self._unsent = Gauge(
            "thwart_unsent", "Messages not confirmed by the broker at the last heartbeat", registry=registry
        )
        self._drift = Gauge(
            "thwart_drift", "Effects found otherwise than the journal says and not put right yet", registry=registry
        )
        self._repairs = Counter(
            "thwart_repairs_total", "Effects put right that somebody else had changed", ["found"], registry=registry
        )
        self._tests = Counter(
            "thwart_rollbacks_total",
            "Times that what came into force was taken off the host to see whether it cuts it off, by verdict",
            ["verdict"],
            registry=registry,
        )
        self._reconnects = Counter(
            "thwart_reconnects_total", "Connections to the broker made anew", ["link"], registry=registry
        )
        self._connections: dict[str, int] = {}

    def answered(self, acknowledgements: Iterable[Acknowledgement]) -> None:
        """Counts answers."""
        for said in acknowledgements:
            self._answers.labels(said.status).inc()

    def settled(self, settled: Settled) -> None:
        """Counts what a turn came to."""
        self.answered(settled.acknowledgements)
        for end in settled.expiries:
            self._ends.labels(end.outcome).inc()
        for wait in settled.waits:
            self._apply.observe(wait)

    def drifted(self, count: int) -> None:
        """Sets how many effects differ."""
        self._drift.set(count)

    def repaired(self, found: Iterable[str]) -> None:
        """Counts what was put right, each by how it was found: missing, moved or unknown."""
        for each in found:
            self._repairs.labels(each).inc()

    def tested(self, verdict: str) -> None:
        """Counts a test for which effects were taken off the host."""
        self._tests.labels(verdict).inc()

    def seen(self, *, effects: Mapping[str, int], unsent: int, connections: Mapping[str, int]) -> None:
        """Sets what is looked up from time to time."""
        self._effects.clear()
        for action, count in effects.items():
            self._effects.labels(action).set(count)
        self._unsent.set(unsent)
        for link, count in connections.items():
            before = self._connections.get(link, 1)  # the first one is no reconnect
            self._reconnects.labels(link).inc(max(0, count - before))
            self._connections[link] = max(count, before)
