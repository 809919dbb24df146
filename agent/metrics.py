"""The agent's figures, for `/metrics`; METRICS.md is their table. No label is ever an address or an agent."""

from collections.abc import Iterable, Mapping
from typing import get_args

from agent.journal.settling import Settled
from agent.reconcile import Found
from shared.actions import LASTING
from shared.messages import Acknowledgement, Expiry, Status
from shared.metrics import Figures, Reconnects, closed

LINKS = ("publish", "consume")
ACTIONS = (*sorted(LASTING), "other")  # what others bring has any name, so it is counted together
VERDICTS = ("cut-off", "broker-away")


class AgentMetrics:
    """What `/metrics` shows, and who sets it."""

    def __init__(self) -> None:
        self._figures = figures = Figures()
        self.registry = figures.registry
        counter, gauge = figures.counter, figures.gauge
        self._answers = counter("thwart_acknowledgements_total", "Orders answered.", status=get_args(Status))
        outcomes = get_args(Expiry.__annotations__["outcome"])
        self._ends = counter("thwart_expiries_total", "Ends of orders.", outcome=outcomes)
        self._apply = figures.histogram("thwart_apply_seconds", _APPLY)
        self._effects = gauge("thwart_effects", "Effects in force at the last heartbeat.", action=ACTIONS)
        self._outlived = gauge("thwart_effects_outlived", _OUTLIVED)
        self._id_taken = gauge("thwart_id_taken", _ID_TAKEN)
        self._unsent = gauge("thwart_unsent", "Messages not confirmed by the broker at the last heartbeat.")
        self._drift = gauge("thwart_drift", "Effects found otherwise than the journal says and not put right yet.")
        self._repairs = counter(
            "thwart_repairs_total", "Effects put right that somebody else had changed.", found=get_args(Found)
        )
        self._tests = counter("thwart_rollbacks_total", _ROLLBACKS, verdict=VERDICTS)
        self._reconnects = Reconnects(figures, LINKS)

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

    def id_taken(self, *, taken: bool) -> None:
        """Sets whether another host goes by this agent's id."""
        self._id_taken.set(taken)

    def seen(self, *, effects: Mapping[str, int], outlived: int, unsent: int, connections: Mapping[str, int]) -> None:
        """Sets what is looked up from time to time."""
        by_action = dict.fromkeys(ACTIONS, 0)
        for action, count in effects.items():
            by_action[closed(action, ACTIONS)] += count
        for action, count in by_action.items():
            self._effects.labels(action).set(count)
        self._outlived.set(outlived)
        self._unsent.set(unsent)
        self._reconnects.seen(connections)

    def exposition(self) -> bytes:
        """The text that `/metrics` answers."""
        return self._figures.exposition()


_APPLY = "From an order taken to its effect applied, by the agent's clock alone, which never steps."
_OUTLIVED = (
    "Effects at the last heartbeat that are on the host although their time is over or somebody ended them; for a "
    "moment that is so at every end."
)
_ID_TAKEN = "1: another host runs an agent with this one's id, and this one takes no orders until that one stops."
_ROLLBACKS = "Times that what came into force was taken off the host to see whether it cuts it off."
