"""The manager's figures, for `/metrics`. Label sets are closed: what isn't a known word is counted as `other`."""

from collections.abc import Collection, Mapping

from shared.metrics import LATENCIES, CollectorRegistry, Counter, Gauge, Histogram, exposition

# Why a message was dead-lettered: by us, by an agent, or by the broker itself.
DEAD_REASONS = frozenset(
    (
        *("malformed", "unsupported-version", "too-large", "forged-sender", "id-taken", "foreign-policy"),
        *("unroutable", "expired", "maxlen", "rejected", "delivery_limit"),
    )
)
REFUSALS = frozenset(("protected", "invalid-target", "unroutable", "own-event"))


class Metrics:
    """One registry, so that two managers in one process don't share figures."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.orders = Counter(
            "thwart_orders_total", "Orders given.", ["operation", "location", "origin"], registry=registry
        )
        self.held = Counter("thwart_orders_held_total", "Orders that were put on hold when given.", registry=registry)
        self.alerts = Counter(
            "thwart_alerts_total",
            "Alerts taken: ordered, on_hold, quiet, late, repeated.",
            ["outcome"],
            registry=registry,
        )
        self.refusals = Counter(
            "thwart_refusals_total", "Responses that did not act on purpose.", ["reason"], registry=registry
        )
        self.acknowledgements = Counter(
            "thwart_acknowledgements_total", "Answers of agents, by status.", ["status"], registry=registry
        )
        self.expiries = Counter(
            "thwart_expiries_total", "Ends of blocks that agents told, by outcome.", ["outcome"], registry=registry
        )
        self.lines = Counter("thwart_log_lines_total", "Log lines correlated.", registry=registry)
        self.lines_known = Counter(
            "thwart_log_lines_known_total", "Log lines dropped because they had been taken before.", registry=registry
        )
        self.reloads = Counter(
            "thwart_configuration_reloads_total",
            "Times that ossec.conf and rules were read anew: ok, or refused.",
            ["result"],
            registry=registry,
        )
        self.dead = Counter("thwart_dead_letters_total", "Dead letters read, by reason.", ["reason"], registry=registry)
        self.log_to_order = Histogram(
            "thwart_log_to_order_seconds",
            "From the instant that a log line names (whole seconds in many logs) to the order.",
            buckets=LATENCIES,
            registry=registry,
        )
        self.order_answer = Histogram(
            "thwart_order_answer_seconds",
            "From the order to an agent's answer, both by the manager's clock.",
            buckets=LATENCIES,
            registry=registry,
        )
        self.log_to_applied = Histogram(
            "thwart_log_to_applied_seconds",
            "From the instant that a log line names to the answer that its block is in force, heard by the manager.",
            buckets=LATENCIES,
            registry=registry,
        )
        self.unsent = Gauge("thwart_unsent", "Messages that the broker has not confirmed.", registry=registry)
        self.on_hold = Gauge("thwart_orders_on_hold", "Orders that wait for a person.", registry=registry)
        self.agents = Gauge("thwart_agents", "Agents that were ever heard of.", ["state"], registry=registry)
        self.reconnects = Counter(
            "thwart_reconnects_total", "Connections to the broker made anew.", ["link"], registry=registry
        )
        self._connections: dict[str, int] = {}

    def refresh(self, unsent: int, on_hold: int, lives: Collection[str], connections: Mapping[str, int]) -> None:
        """Takes in what is looked up only when somebody asks."""
        self.unsent.set(unsent)
        self.on_hold.set(on_hold)
        for state in ("living", "silent"):
            self.agents.labels(state).set(sum(life == state for life in lives))
        for link, made in connections.items():
            before = self._connections.get(link, 1)  # the first one is no reconnect
            self.reconnects.labels(link).inc(max(0, made - before))
            self._connections[link] = max(made, before)

    def exposition(self) -> bytes:
        """The text that `/metrics` answers."""
        return exposition(self.registry)


def closed(word: str, words: Collection[str]) -> str:
    """`word` if it is one of `words`, so that no sender can make up labels."""
    return word if word in words else "other"
