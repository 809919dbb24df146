"""The manager's figures, for `/metrics`; METRICS.md is their table. What isn't a known word is counted as `other`."""

from collections.abc import Mapping
from typing import get_args

from msgspec import Struct

from manager import reasons
from manager.ledger.views import Life
from manager.news import Origin
from shared.messages import Expiry, Location, Operation, Status
from shared.metrics import Figures, Reconnects, closed

LINKS = ("orders", "events", "logs")
OUTCOMES = ("ordered", "on_hold", "quiet", "late", "repeated")
OFFENCES = ("1", "2", "3", "4", "more")
RULES = 200  # rules that are counted by their id


class Seen(Struct, frozen=True, kw_only=True):
    """What is looked up only when somebody asks."""

    unsent: int
    on_hold: int
    overdue: int
    oldest_unanswered: float  # s
    lives: Mapping[Life, int]
    skew: float  # s
    ledger: int  # bytes
    connections: Mapping[str, int]


class Metrics:
    """Everything counted and measured. `objective` is within how many seconds 99 of 100 orders are to be answered."""

    def __init__(self, objective: float = 1.0) -> None:
        self._figures = figures = Figures()
        self.registry = figures.registry
        counter, gauge, histogram = figures.counter, figures.gauge, figures.histogram
        operations, locations = get_args(Operation), get_args(Location)
        labels = {"operation": operations, "location": locations, "origin": get_args(Origin)}
        self.orders = counter(
            "thwart_orders_total", "Orders given, one for each order and not for each agent.", **labels
        )
        self.held = counter("thwart_orders_held_total", "Orders that were put on hold when given.")
        self.alerts = counter(
            "thwart_alerts_total",
            "Alerts, by what came of them; quiet: no response is for them, or what it would order is in force.",
            outcome=OUTCOMES,
        )
        self._rules: set[str] = set()
        self._rule_alerts = counter("thwart_rule_alerts_total", _RULE_ALERTS, rule=("other",))
        self._offences = counter("thwart_offences_total", _OFFENCES, offence=OFFENCES)
        self.refusals = counter(
            "thwart_refusals_total", "Responses that did not act on purpose.", reason=reasons.REFUSALS
        )
        self.acknowledgements = counter(
            "thwart_acknowledgements_total", "Answers of agents to orders.", status=get_args(Status)
        )
        outcomes = get_args(Expiry.__annotations__["outcome"])
        self.expiries = counter("thwart_expiries_total", "Ends of orders that agents have told.", outcome=outcomes)
        self.lines = counter("thwart_log_lines_total", "Log lines correlated.")
        self.lines_known = counter("thwart_log_lines_known_total", "Log lines dropped, because they were taken before.")
        self.cut = counter(
            "thwart_pattern_limits_total", "Searches for a rule's pattern that were given up; they count as no match."
        )
        self.reloads = counter(
            "thwart_configuration_reloads_total", "Times that ossec.conf and rules were read.", result=("ok", "refused")
        )
        self.dead = counter("thwart_dead_letters_total", "Messages that could not be taken.", reason=reasons.DEAD)
        self.log_to_order = histogram("thwart_log_to_order_seconds", _LOG_TO_ORDER)
        self.order_answer = histogram("thwart_order_answer_seconds", _ORDER_ANSWER, edge=objective)
        self.log_to_applied = histogram("thwart_log_to_applied_seconds", _LOG_TO_APPLIED)
        gauge("thwart_order_answer_objective_seconds", _OBJECTIVE).set(objective)
        self._unsent = gauge("thwart_unsent", "Messages that the broker has not confirmed.")
        self._on_hold = gauge("thwart_orders_on_hold", "Orders that wait for a person.")
        self._overdue = gauge("thwart_overdue_answers", "Answers that living agents owe for longer than answer_within.")
        self._oldest = gauge("thwart_oldest_unanswered_seconds", _OLDEST)
        self._agents = gauge("thwart_agents", _AGENTS, state=get_args(Life))
        self._skew = gauge("thwart_agents_skew_seconds", _SKEW)
        self._ledger = gauge("thwart_ledger_bytes", "The ledger on the disk, with what SQLite has yet to move into it.")
        self._reconnects = Reconnects(figures, LINKS)

    def responded(self, rule: str) -> None:
        """Counts an alert by the rule it passed. Alerts come from elsewhere too, and nobody may make up labels."""
        if rule not in self._rules and len(self._rules) < RULES and rule.isdecimal() and len(rule) < 10:
            self._rules.add(rule)
        self._rule_alerts.labels(closed(rule, self._rules)).inc()

    def offended(self, offence: int) -> None:
        """Counts an order by how often its target has offended."""
        self._offences.labels(str(offence) if offence < len(OFFENCES) else OFFENCES[-1]).inc()

    def refresh(self, seen: Seen) -> None:
        """Takes in what was looked up."""
        self._unsent.set(seen.unsent)
        self._on_hold.set(seen.on_hold)
        self._overdue.set(seen.overdue)
        self._oldest.set(seen.oldest_unanswered)
        self._skew.set(seen.skew)
        self._ledger.set(seen.ledger)
        for state in get_args(Life):
            self._agents.labels(state).set(seen.lives.get(state, 0))
        self._reconnects.seen(seen.connections)

    def exposition(self) -> bytes:
        """The text that `/metrics` answers."""
        return self._figures.exposition()


_LOG_TO_ORDER = (
    "From the instant that a log line names to the order. Two clocks: the logging host's (whole seconds in many logs) "
    "and the manager's; below 0 counts as 0."
)
_LOG_TO_APPLIED = (
    "From the instant that a log line names to the answer that its block is in force, heard by the manager. Two clocks,"
    " as in thwart_log_to_order_seconds."
)
_ORDER_ANSWER = (
    "From an order given to each agent's answer heard, by the manager's clock alone; orders given before its last"
    " start are not timed."
)
_OBJECTIVE = (
    "The setting manager.answer_objective: 99 of 100 answers should come within it; thwart_order_answer_seconds has a "
    "bucket that ends there."
)
_RULE_ALERTS = "Alerts that a response is for, by rule; the rules after the first 200 are counted together."
_OFFENCES = "Orders that alerts led to, on hold or not, by how often the target has offended: escalation."
_AGENTS = "Agents in the roster; gone: nothing is expected of them."
_OLDEST = "How long ago the oldest order was sent that an agent, silent ones included, should answer still and hasn't."
_SKEW = (
    "The greatest difference between the manager's clock and a living agent's, without its sign; heartbeats' way "
    "included."
)
