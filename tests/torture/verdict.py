"""The judge: holds a run's history against the promise, and finds nothing but what no machine could excuse.

*lost*            answered `applied` or `unchanged`, and the kernel never had it; or refused, failed or `stale` without
                  cause; or not taken, or only when it was sent again, by an agent that took what came later; or
                  accepted and never sent.
*double*          it came back: the address is put in after everything that asked for it was over or lifted; or an
                  agent gave an order two different answers, or ended it twice, differently.
*overstayed*      it is in the kernel more than LATE past the last end of all that asked for it, lifts counted.
*ended early*     between the answer and the end, lifts counted, the kernel was without it for a while.
*unknown*         in a kernel, and nobody asked for it on that host; or in force at the end and not in the journal.
*unanswered*      no answer from an agent that it is for, no expiry event of what is over, or one of both that the
                  ledger doesn't have. An `add` that could not be taken in time needs no answer if the ledger says so.

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
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Literal

from msgspec import Struct

from shared.messages import Acknowledgement, Expiry, Order
from tests.torture.history import Asked, History
from tests.torture.spans import FOREVER, Span, stays, without

EARLY, LATE, SETTLED, SLACK = 0.2, 1.0, 0.5, 0.05
FIFO_GAP, FIFO_LEFT = 1.0, 3.0
PROOF, MENDING, TESTING = 4.0, 15.0, 20.0
LEAST = 1.0  # s: what has less left when it comes is stale (protocol)
SAID = 15.0  # s after an end by which it was said, once all daemons are up
BROKER = "broker1"
HELD = ("applied", "unchanged")
OPEN = ("waiting", "overdue", "unsent", "sent")  # states in the ledger of what more is to be heard of
NEVER_SENT = ("stale", "lifted", "withdrawn", "unroutable")  # what the ledger may say about an order without an answer

Column = Literal["lost", "double", "overstayed", "ended early", "unknown", "unanswered"]
COLUMNS: tuple[Column, ...] = ("lost", "double", "overstayed", "ended early", "unknown", "unanswered")


class Finding(Struct, frozen=True, kw_only=True, order=True):
    """One order, or address, on one agent, of which the promise was not kept."""

    column: Column
    agent: str
    target: str
    order_id: str
    words: str


def findings(history: History) -> list[Finding]:
    """Everything that is wrong; nothing at all is what has been promised."""
    case = Case(history)
    found: set[Finding] = set()
    for agent in history.hosts:
        host = _OnHost(case, agent)
        found.update(host.findings())
    found.update(_never_sent(case))
    return sorted(found)


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


def _never_sent(case: Case) -> Iterator[Finding]:
    """Accepted, not lifted, with time left, and not sent although the manager sent what came later."""
    last = max((asked.at for asked in case.history.asked if asked.by == "api" and _seen(case, asked)), default=0.0)
    for asked in case.history.asked:
        order = asked.order
        lifted = order.id in case.lifts
        if asked.at + FIFO_GAP < last and order.deadline > last + FIFO_LEFT and not _seen(case, asked) and not lifted:
            yield _finding("lost", "", order, "it was accepted and never sent, though a later one was")


def _seen(case: Case, asked: Asked) -> bool:
    return asked.order.id in case.history.seen


class _OnHost:
    """All that was asked of one agent, against its kernel, its journal and its words."""

    def __init__(self, case: Case, agent: str) -> None:
        self._case, self._agent, self._host = case, agent, case.history.hosts[agent]
        self._asked = [asked for asked in case.history.asked if agent in asked.agents]
        self._adds = [asked for asked in self._asked if asked.order.operation == "add"]
        self._stays = stays(self._host.changes)

    def findings(self) -> Iterator[Finding]:
        for asked in self._asked:
            yield from self._said(asked)
            yield from self._written(asked)
        for asked in self._adds:
            yield from self._required(asked.order)
        by_target: dict[str, list[Order]] = defaultdict(list)
        for asked in self._adds:
            by_target[asked.order.target].append(asked.order)
        for target in self._stays:
            yield from self._permitted(target, by_target[target])
        yield from self._known()

    # -- what it said ----------------------------------------------------------------------------------------------

    def _said(self, asked: Asked) -> Iterator[Finding]:
        order = asked.order
        answers, ends = self._answers(order), self._ends(order)
        for what in (answers, ends):
            if len(different := {_told(each) for each in what}) > 1:
                yield self._finding("double", order, f"different things were said of it: {sorted(different)}")
        if answers:
            if why := self._wrongly(order, answers[0]):
                yield self._finding("lost", order, why)
            if self._owes_an_end(order, answers[0]) and not ends:
                yield self._finding("unanswered", order, f"{answers[0].status}, and no expiry event came")
        if witness := self._witness(asked):
            taken = "taken only when it was sent again" if answers else "not taken"
            yield self._finding("lost", order, f"{taken}, though {witness} came later and was taken before")
        elif not answers and not self._excused(asked):
            yield self._finding("unanswered", order, "no answer came")

    def _wrongly(self, order: Order, answer: Acknowledgement) -> str:
        """Why this answer is none that a fault could excuse; nothing when it is one."""
        told = f"{answer.status} ({answer.detail})"
        match answer.status:
            case "applied" | "unchanged" if order.operation == "add":
                return ""
            case "lifted" if order.operation == "delete":
                return ""
            case "lifted":
                lifted = any(each.order.issued_at <= answer.settled_at + SLACK for each in self._lifts(order))
                return "" if lifted else f"{told}, and nobody had lifted it"
            case "stale":
                too_late = min(order.deadline, _end(order) - LEAST) - SLACK
                late = answer.received_at > too_late or answer.settled_at > _end(order) - SLACK
                return "" if late else f"{told} with {too_late - answer.received_at:.1f} s to spare"
            case _:
                return f"{told}, and nothing speaks against it"

    def _owes_an_end(self, order: Order, answer: Acknowledgement) -> bool:
        over = min([_end(order), *(lift.settled_at for lift in self._lifted(order))])
        return order.operation == "add" and answer.status in HELD and over + SAID < self._case.history.over_at

    def _witness(self, asked: Asked) -> str:
        """An order that was behind this one in the agent's queue, and was taken long before it while it mattered."""
        came = self._case.history.seen.get(asked.order.id)
        if came is None:
            return ""
        answers = self._answers(asked.order)
        taken = min((each.received_at for each in answers), default=FOREVER)
        left = min(asked.order.deadline, _end(asked.order) - LEAST)
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
        seen = self._case.history.seen
        came = [
            (seen[asked.order.id], min(each.received_at for each in answers), asked.order.id)
            for asked in self._asked
            if asked.by == by and asked.order.id in seen and (answers := self._answers(asked.order))
        ]
        came.sort()
        taken = [(received, order_id) for _, received, order_id in came]
        first = list(accumulate(reversed(taken), min))[::-1]
        return [at for at, _, _ in came], first

    def _excused(self, asked: Asked) -> bool:
        """True when nobody can expect an answer: it was not to be had in time, and the ledger knows that."""
        order = asked.order
        written = self._case.history.ledger.get((order.id, self._agent))
        if asked.by == "amqp":
            return False  # without a time to live: it waits for its agent
        return written is not None and written.status is None and written.state in NEVER_SENT

    def _written(self, asked: Asked) -> Iterator[Finding]:
        """What was heard of an order, the ledger has heard too."""
        order, answers = asked.order, self._answers(asked.order)
        written = self._case.history.ledger.get((order.id, self._agent))
        if asked.by == "amqp" and written is None:
            return
        if written is None:
            yield self._finding("lost", order, "accepted, and not in the ledger")
            return
        heard = "ended" if self._ends(order) else answers[-1].status if answers else ""
        if heard and heard != written.state:
            yield self._finding("unanswered", order, f"{heard} was heard, and the ledger says {written.state}")
        elif written.state in OPEN:
            yield self._finding("unanswered", order, f"nothing was heard, and the ledger still says {written.state}")

    # -- what its kernel did ---------------------------------------------------------------------------------------

    def _required(self, order: Order) -> Iterator[Finding]:
        answers = [each for each in self._answers(order) if each.status in HELD]
        if not answers:
            return
        lifted = min((each.order.issued_at for each in self._lifts(order)), default=FOREVER)
        until = min(_end(order), lifted, self._case.history.over_at)
        span = Span(answers[0].settled_at + SETTLED, until - EARLY)
        there = self._stays.get(order.target, [])
        gaps = [gap for gap in without(span, there) if not self._is_a_test(gap)] if span.length > 0 else []
        if gaps and gaps == [span]:
            yield self._finding("lost", order, f"{answers[0].status}, and not in the kernel for {span.length:.2f} s")
        elif gaps:
            away = ", ".join(
                f"{gap.length:.2f} s from {order.issued_at:.0f}+{gap.since - order.issued_at:.2f}" for gap in gaps
            )
            yield self._finding("ended early", order, f"{answers[0].status}, and gone for {away}")

    def _is_a_test(self, gap: Span) -> bool:
        """True when it may be that the agent looked whether its host was cut off by what it had just blocked."""
        went = (
            away.since + PROOF <= gap.since <= away.until + MENDING
            for away in self._case.history.away
            if away.host in (self._agent, BROKER)
        )
        return gap.length <= TESTING and any(went)

    def _permitted(self, target: str, orders: Sequence[Order]) -> Iterator[Finding]:
        if not orders:
            yield Finding(column="unknown", agent=self._agent, target=target, order_id="", words="nobody asked for it")
            return
        may = [Span(order.issued_at - SLACK, self._over(order) + LATE) for order in orders]
        for stay in self._stays[target]:
            seen = Span(stay.since, min(stay.until, self._case.history.over_at))
            for wrong in without(seen, may):
                back = wrong.since == stay.since
                words = (
                    f"for {wrong.length:.2f} s from {orders[0].issued_at:.0f}+{wrong.since - orders[0].issued_at:.2f}"
                )
                column: Column = "double" if back else "overstayed"
                yield self._finding(column, orders[-1], f"{'back' if back else 'still'} in the kernel {words}")

    def _over(self, order: Order) -> float:
        """When `order` has nothing in force any more."""
        return min([_end(order), *(each.settled_at for each in self._lifted(order))])

    # -- what its journal knows ------------------------------------------------------------------------------------

    def _known(self) -> Iterator[Finding]:
        effects = {effect.target: effect.orders for effect in self._host.effects}
        now = self._case.history.over_at
        for target in self._host.listed - effects.keys():
            if any(stay.since < now < stay.until - LATE for stay in self._stays.get(target, [])):
                yield Finding(
                    column="unknown", agent=self._agent, target=target, order_id="", words="not in the journal"
                )
        for order in (asked.order for asked in self._adds):
            held = any(each.status in HELD for each in self._answers(order)) and not self._ends(order)
            if held and now < self._over(order) - LATE and order.id not in effects.get(order.target, ()):
                yield self._finding("unknown", order, "in force by its own answer, and not in the journal")

    # -- looked up -------------------------------------------------------------------------------------------------

    def _answers(self, order: Order) -> list[Acknowledgement]:
        return self._case.answers.get((order.id, self._agent), [])

    def _ends(self, order: Order) -> list[Expiry]:
        return self._case.ends.get((order.id, self._agent), [])

    def _lifts(self, order: Order) -> list[Asked]:
        """The deletes that name `order` and are for this agent."""
        return [each for each in self._case.lifts.get(order.id, []) if self._agent in each.agents]

    def _lifted(self, order: Order) -> list[Acknowledgement]:
        """What this agent answered to those, once it was done."""
        answers = [answer for lift in self._lifts(order) for answer in self._answers(lift.order)]
        return [each for each in answers if each.status == "lifted"]

    def _finding(self, column: Column, order: Order, words: str) -> Finding:
        return _finding(column, self._agent, order, words)


def _finding(column: Column, agent: str, order: Order, words: str) -> Finding:
    return Finding(
        column=column, agent=agent, target=order.target, order_id=order.id, words=f"{order.operation} {words}"
    )


def _end(order: Order) -> float:
    return FOREVER if order.expires_at is None else order.expires_at


def _told(said: Acknowledgement | Expiry) -> str:
    """All of it but the order and the agent, which are the same for each."""
    if isinstance(said, Expiry):
        return f"{said.cause} {said.outcome} at {said.at:.3f} {said.detail}"
    return f"{said.status} {said.detail} {said.exit_code} at {said.settled_at:.3f} until {said.expires_at}"
