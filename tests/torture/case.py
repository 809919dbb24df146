"""One run looked up, order by order and host by host, for the judge; and how much it allows for, and why.

Tolerances. An agent answers with its own clock, which is this machine's.

EARLY    the kernel counts in its own ticks (4 ms) from what the agent read off two clocks, one after the other.
LATE     between the agent's reading the clock and the kernel's taking the transaction, and between a transaction and
         the watcher's reading the clock, others may have the processor. A lifted order counts as over when its
         agent said so, which it says after the kernel did it; however long the agent was dead before that.
SETTLED  the watcher may read the clock that much later than the kernel took what the agent answered for.
FIFO     an agent's queue and the manager's outbox keep their order, whatever is killed. But what a dead connection held
         is put back a moment after the next one may have begun to take: so an order counts as lost only if another
         that came by the same way, FIFO_GAP behind it, was taken FIFO_LEFT before it was and before it was too late.
SLACK    between two readings of the clock in one process.
TESTING  what has cut a host off from its broker is taken back, and to find out, an agent that can't reach its broker
         takes off what is not proved yet and puts it back. So it may be gone for so long, if it went PROOF after the
         broker or the agent's host was cut off, or while the way there was still not open again (MENDING).
"""

from bisect import bisect_right
from collections import defaultdict
from functools import cached_property
from itertools import accumulate

from shared.messages import Acknowledgement, Expiry, Order
from tests.torture.history import Asked, History
from tests.torture.spans import FOREVER, Span, stays

EARLY, LATE, SETTLED, SLACK = 0.2, 1.0, 0.5, 0.05
FIFO_GAP, FIFO_LEFT = 1.0, 3.0
PROOF, MENDING, TESTING = 4.0, 15.0, 20.0
LEAST = 1.0  # s: what has less left when it comes is stale (protocol)
SAID = 15.0  # s after an end by which it was said, once all daemons are up
BROKER = "broker1"
HELD = ("applied", "unchanged")
OPEN = ("waiting", "overdue", "unsent", "sent")  # states in the ledger of what more is to be heard of
NEVER_SENT = ("stale", "lifted", "withdrawn", "unroutable")  # what the ledger may say about an order without an answer


class Case:
    """A history, looked up."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.orders = {asked.order.id: asked for asked in history.asked}
        self.lifts: dict[str, list[Asked]] = defaultdict(list)  # by the order that is lifted
        for asked in history.asked:
            for each in asked.order.lifts:
                self.lifts[each].append(asked)
        self.answers: dict[tuple[str, str], list[Acknowledgement]] = defaultdict(list)
        for answer in history.answers:
            self.answers[answer.order_id, answer.agent_id].append(answer)
        self.ends: dict[tuple[str, str], list[Expiry]] = defaultdict(list)
        for end in history.ends:
            self.ends[end.order_id, end.agent_id].append(end)


class OnHost:
    """All that was asked of one agent, and what it did about it."""

    def __init__(self, case: Case, agent: str) -> None:
        self.case, self.agent, self.host = case, agent, case.history.hosts[agent]
        self.asked = [asked for asked in case.history.asked if agent in asked.agents]
        self.adds = [asked for asked in self.asked if asked.order.operation == "add"]
        self.stays = stays(self.host.changes)

    def answers(self, order: Order) -> list[Acknowledgement]:
        """What it said to `order`, each message that came."""
        return self.case.answers.get((order.id, self.agent), [])

    def ends(self, order: Order) -> list[Expiry]:
        """What it said about the end of `order`, each message that came."""
        return self.case.ends.get((order.id, self.agent), [])

    def lifts(self, order: Order) -> list[Asked]:
        """The deletes that name `order` and are for this agent."""
        return [each for each in self.case.lifts.get(order.id, []) if self.agent in each.agents]

    def lifted(self, order: Order) -> list[Acknowledgement]:
        """What this agent answered to those, once it was done."""
        answers = [answer for lift in self.lifts(order) for answer in self.answers(lift.order)]
        return [each for each in answers if each.status == "lifted"]

    def over(self, order: Order) -> float:
        """When `order` has nothing in force any more."""
        return min([end_of(order), *(each.settled_at for each in self.lifted(order))])

    def is_a_test(self, gap: Span) -> bool:
        """True when it may be that the agent looked whether its host was cut off by what it had just blocked."""
        went = (
            away.since + PROOF <= gap.since <= away.until + MENDING
            for away in self.case.history.away
            if away.host in (self.agent, BROKER)
        )
        return gap.length <= TESTING and any(went)

    def witness(self, asked: Asked) -> str:
        """An order that was behind this one in the agent's queue, and was taken long before it while it mattered."""
        came = self.case.history.seen.get(asked.order.id)
        if came is None:
            return ""
        answers = self.answers(asked.order)
        taken = min((each.received_at for each in answers), default=FOREVER)
        left = min(asked.order.deadline, end_of(asked.order) - LEAST)
        first, other = self._taken_first(asked.by, came + FIFO_GAP)
        return other if first < min(taken, left) - FIFO_LEFT else ""

    def _taken_first(self, by: str, after: float) -> tuple[float, str]:
        """When the first of those was taken that came by the same way `after` an instant, and its id."""
        came, first = self._by_way[by]
        place = bisect_right(came, after)
        return first[place] if place < len(first) else (FOREVER, "")

    @cached_property
    def _by_way(self) -> dict[str, tuple[list[float], list[tuple[float, str]]]]:
        """For each way: when its orders came, and from each of them on which was taken first, and when."""
        return {by: self._first_taken(by) for by in ("api", "amqp")}

    def _first_taken(self, by: str) -> tuple[list[float], list[tuple[float, str]]]:
        seen = self.case.history.seen
        came = [
            (seen[asked.order.id], min(each.received_at for each in answers), asked.order.id)
            for asked in self.asked
            if asked.by == by and asked.order.id in seen and (answers := self.answers(asked.order))
        ]
        came.sort()
        taken = [(received, order_id) for _, received, order_id in came]
        first = list(accumulate(reversed(taken), min))[::-1]
        return [at for at, _, _ in came], first


def end_of(order: Order) -> float:
    """When its time is up."""
    return FOREVER if order.expires_at is None else order.expires_at
