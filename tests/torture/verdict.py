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

What it allows for, and why, stands in `case.py`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from shared.messages import Acknowledgement, Expiry, Order
from tests.torture.case import (
    EARLY,
    FIFO_GAP,
    FIFO_LEFT,
    HELD,
    LATE,
    LEAST,
    NEVER_SENT,
    OPEN,
    SAID,
    SETTLED,
    SLACK,
    Case,
    OnHost,
    end_of,
)
from tests.torture.history import Asked, History
from tests.torture.spans import FOREVER, Span, without

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
        found.update(_Judged(OnHost(case, agent)).findings())
    found.update(_never_sent(case))
    return sorted(found)


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


class _Judged:
    """All that was asked of one agent, held against its kernel, its journal and its words."""

    def __init__(self, host: OnHost) -> None:
        self._on, self._history = host, host.case.history

    def findings(self) -> Iterator[Finding]:
        for asked in self._on.asked:
            yield from self._said(asked)
            yield from self._written(asked)
        for asked in self._on.adds:
            yield from self._required(asked.order)
        by_target: dict[str, list[Order]] = defaultdict(list)
        for asked in self._on.adds:
            by_target[asked.order.target].append(asked.order)
        for target in self._on.stays:
            yield from self._permitted(target, by_target[target])
        yield from self._known()

    # -- what it said ----------------------------------------------------------------------------------------------

    def _said(self, asked: Asked) -> Iterator[Finding]:
        order = asked.order
        answers, ends = self._on.answers(order), self._on.ends(order)
        for what in (answers, ends):
            if len(different := {_told(each) for each in what}) > 1:
                yield self._finding("double", order, f"different things were said of it: {sorted(different)}")
        if answers:
            if why := self._wrongly(order, answers[0]):
                yield self._finding("lost", order, why)
            if self._owes_an_end(order, answers[0]) and not ends:
                yield self._finding("unanswered", order, f"{answers[0].status}, and no expiry event came")
        if witness := self._on.witness(asked):
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
                lifted = any(each.order.issued_at <= answer.settled_at + SLACK for each in self._on.lifts(order))
                return "" if lifted else f"{told}, and nobody had lifted it"
            case "stale":
                too_late = min(order.deadline, end_of(order) - LEAST) - SLACK
                late = answer.received_at > too_late or answer.settled_at > end_of(order) - SLACK
                return "" if late else f"{told} with {too_late - answer.received_at:.1f} s to spare"
            case _:
                return f"{told}, and nothing speaks against it"

    def _owes_an_end(self, order: Order, answer: Acknowledgement) -> bool:
        return (
            order.operation == "add" and answer.status in HELD and self._on.over(order) + SAID < self._history.over_at
        )

    def _excused(self, asked: Asked) -> bool:
        """True when nobody can expect an answer: it was not to be had in time, and the ledger knows that."""
        order = asked.order
        written = self._history.ledger.get((order.id, self._on.agent))
        if asked.by == "amqp":
            return False  # without a time to live: it waits for its agent
        return written is not None and written.status is None and written.state in NEVER_SENT

    def _written(self, asked: Asked) -> Iterator[Finding]:
        """What was heard of an order, the ledger has heard too."""
        order, answers = asked.order, self._on.answers(asked.order)
        written = self._history.ledger.get((order.id, self._on.agent))
        if written is None:
            yield self._finding("lost", order, "accepted, and not in the ledger")
            return
        heard = "ended" if self._on.ends(order) else answers[-1].status if answers else ""
        if heard and heard != written.state:
            yield self._finding("unanswered", order, f"{heard} was heard, and the ledger says {written.state}")
        elif written.state in OPEN:
            yield self._finding("unanswered", order, f"nothing was heard, and the ledger still says {written.state}")

    # -- what its kernel did ---------------------------------------------------------------------------------------

    def _required(self, order: Order) -> Iterator[Finding]:
        answers = [each for each in self._on.answers(order) if each.status in HELD]
        if not answers:
            return
        lifted = min((each.order.issued_at for each in self._on.lifts(order)), default=FOREVER)
        until = min(end_of(order), lifted, self._history.over_at)
        span = Span(answers[0].settled_at + SETTLED, until - EARLY)
        there = self._on.stays.get(order.target, [])
        gaps = [gap for gap in without(span, there) if not self._on.is_a_test(gap)] if span.length > 0 else []
        if gaps and gaps == [span]:
            yield self._finding("lost", order, f"{answers[0].status}, and not in the kernel for {span.length:.2f} s")
        elif gaps:
            away = ", ".join(
                f"{gap.length:.2f} s from {order.issued_at:.0f}+{gap.since - order.issued_at:.2f}" for gap in gaps
            )
            yield self._finding("ended early", order, f"{answers[0].status}, and gone for {away}")

    def _permitted(self, target: str, orders: Sequence[Order]) -> Iterator[Finding]:
        if not orders:
            yield Finding(
                column="unknown", agent=self._on.agent, target=target, order_id="", words="nobody asked for it"
            )
            return
        may = [Span(order.issued_at - SLACK, self._on.over(order) + LATE) for order in orders]
        for stay in self._on.stays[target]:
            seen = Span(stay.since, min(stay.until, self._history.over_at))
            for wrong in without(seen, may):
                back = wrong.since == stay.since
                words = (
                    f"for {wrong.length:.2f} s from {orders[0].issued_at:.0f}+{wrong.since - orders[0].issued_at:.2f}"
                )
                column: Column = "double" if back else "overstayed"
                yield self._finding(column, orders[-1], f"{'back' if back else 'still'} in the kernel {words}")

    # -- what its journal knows ------------------------------------------------------------------------------------

    def _known(self) -> Iterator[Finding]:
        effects = {effect.target: effect.orders for effect in self._on.host.effects}
        now = self._history.over_at
        for target in self._on.host.listed - effects.keys():
            if any(stay.since < now < stay.until - LATE for stay in self._on.stays.get(target, [])):
                yield self._nobodys(target, "not in the journal")
        for order in (asked.order for asked in self._on.adds):
            held = any(each.status in HELD for each in self._on.answers(order)) and not self._on.ends(order)
            if held and now < self._on.over(order) - LATE and order.id not in effects.get(order.target, ()):
                yield self._finding("unknown", order, "in force by its own answer, and not in the journal")

    def _nobodys(self, target: str, words: str) -> Finding:
        return Finding(column="unknown", agent=self._on.agent, target=target, order_id="", words=words)

    def _finding(self, column: Column, order: Order, words: str) -> Finding:
        return _finding(column, self._on.agent, order, words)


def _finding(column: Column, agent: str, order: Order, words: str) -> Finding:
    return Finding(
        column=column, agent=agent, target=order.target, order_id=order.id, words=f"{order.operation} {words}"
    )


def _told(said: Acknowledgement | Expiry) -> str:
    """All of it but the order and the agent, which are the same for each."""
    if isinstance(said, Expiry):
        return f"{said.cause} {said.outcome} at {said.at:.3f} {said.detail}"
    return f"{said.status} {said.detail} {said.exit_code} at {said.settled_at:.3f} until {said.expires_at}"
