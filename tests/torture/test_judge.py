"""The judge of `scripts/torture`: it finds each thing that can go wrong, in a made-up history where that alone does."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.messages import Acknowledgement, Expiry, Order
from tests.stage.kernel import Change
from tests.torture.history import Asked, Away, Effect, History, Host, Written
from tests.torture.spans import FOREVER, Span, stays, union, without
from tests.torture.verdict import findings

TARGET, AGENT = "198.18.0.1", "web1"
OVER_AT = 1_000.0


def an_add(order_id: str, at: float, timeout: float | None = 10.0) -> Order:
    return Order(
        id=order_id,
        operation="add",
        action="firewall-drop",
        location="agent",
        agents=(AGENT,),
        target=TARGET,
        timeout=timeout,
        issued_at=at,
        deadline=at + (timeout or 1e6),
        expires_at=None if timeout is None else at + timeout,
    )


def a_delete(order_id: str, at: float, *lifts: str) -> Order:
    order = an_add(order_id, at, None)
    return replace(order, operation="delete", lifts=lifts)


class Made:
    """A history that is put together by hand; one host, one address."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.seen: dict[str, float] = {}
        self.said: list[Acknowledgement | Expiry] = []
        self.changes: list[Change] = []
        self.listed: set[str] = set()
        self.effects: dict[str, tuple[str, ...]] = {}
        self.ledger: dict[tuple[str, str], Written] = {}
        self.away: list[Away] = []

    def ask(self, order: Order, by: str = "api", *, seen: bool = True) -> Order:
        at = order.issued_at + 0.01
        self.asked.append(Asked(order=order, by=by, at=at, agents=order.agents))
        if seen:
            self.seen[order.id] = at
        self.write(order, "waiting")
        return order

    def answer(self, order: Order, status: str = "applied", after: float = 0.05, **said: Any) -> None:
        at = order.issued_at + after
        fields = {"received_at": at, "settled_at": at, "detail": "new", **said}
        self.said.append(Acknowledgement(order_id=order.id, agent_id=AGENT, status=status, **fields))
        self.write(order, status, status)

    def end(self, order: Order, at: float, cause: str = "timeout", outcome: str = "reverted") -> None:
        fields = {"action": order.action, "target": order.target, "at": at}
        self.said.append(Expiry(order_id=order.id, agent_id=AGENT, cause=cause, outcome=outcome, **fields))
        self.write(order, "ended", self.ledger[order.id, AGENT].status)

    def kernel(self, at: float, left: float | None, member: str = TARGET) -> None:
        self.changes.append(Change(at=at, set="hosts4", member=member, left=left))

    def write(self, order: Order, state: str, status: str | None = None) -> None:
        self.ledger[order.id, AGENT] = Written(state=state, status=status)

    def whole(self) -> History:
        effects = tuple(Effect(target=target, orders=orders) for target, orders in self.effects.items())
        host = Host(changes=tuple(self.changes), listed=frozenset(self.listed), effects=effects)
        return History(
            asked=tuple(self.asked),
            seen=self.seen,
            answers=tuple(each for each in self.said if isinstance(each, Acknowledgement)),
            ends=tuple(each for each in self.said if isinstance(each, Expiry)),
            hosts={AGENT: host},
            ledger=self.ledger,
            away=tuple(self.away),
            over_at=OVER_AT,
        )

    def wrong(self) -> list[str]:
        """The columns in which the judge finds something, each once."""
        return sorted({each.column for each in findings(self.whole())})


def a_good_one(made: Made, order_id: str = "a", at: float = 100.0, timeout: float = 10.0, by: str = "api") -> Order:
    """An order that was kept to."""
    order = made.ask(an_add(order_id, at, timeout), by)
    made.kernel(at + 0.04, timeout - 0.04)
    made.answer(order)
    made.end(order, at + timeout)
    return order


def test_an_order_that_was_kept_to() -> None:
    """Asked, in force at once, answered, over on time, ended: nothing is wrong."""
    made = Made()
    a_good_one(made)
    assert made.wrong() == []


@pytest.mark.parametrize("by", ["api", "amqp"])
def test_what_faults_excuse(by: str) -> None:
    """A late start, messages that come twice, an extension, a lift, and an `add` behind its `delete`."""
    made = Made()
    late = made.ask(an_add("late", 100.0, 10.0), by)
    made.kernel(105.0, 5.0)
    made.answer(late, after=5.1)
    made.said += made.said[-1:]
    longer = made.ask(an_add("longer", 106.0, 20.0), by)
    made.kernel(106.1, 19.9)
    made.answer(longer, detail="extended", after=0.2)
    made.end(late, 110.0, outcome="kept")
    delete = made.ask(a_delete("delete", 115.0, "longer", "behind"), by)
    made.kernel(117.0, 0)
    made.answer(delete, "lifted", after=2.1)
    made.end(longer, 117.0, "lifted")
    behind = made.ask(an_add("behind", 118.0, 10.0), by)
    made.answer(behind, "lifted")
    assert made.wrong() == []


def test_an_order_that_could_not_be_taken_in_time() -> None:
    """It is answered `stale`, or not at all, and the ledger says so."""
    made = Made()
    made.answer(made.ask(an_add("stale", 100.0)), "stale", after=9.5)
    silent = made.ask(an_add("silent", 100.0))
    made.write(silent, "stale")
    assert made.wrong() == []


class TestLost:
    def test_it_never_was_in_the_kernel(self) -> None:
        """Answered `applied`, and the kernel never announced it."""
        made = Made()
        a_good_one(made)
        made.changes.clear()
        assert made.wrong() == ["lost"]

    @pytest.mark.parametrize("status", ["refused", "failed", "simulated", "lifted", "stale"])
    def test_it_was_not_carried_out(self, status: str) -> None:
        """An answer that says so, for which there was no cause."""
        made = Made()
        made.answer(made.ask(an_add("a", 100.0)), status, after=2.0)
        assert made.wrong() == ["lost"]

    @pytest.mark.parametrize("answered", [True, False])
    def test_another_one_overtook_it(self, answered: bool) -> None:
        """What was behind it in the queue was taken, and it was not, or only when it was sent again."""
        made = Made()
        order = made.ask(an_add("first", 100.0, 60.0))
        a_good_one(made, "second", 102.0, 100.0)
        made.write(order, "stale")
        assert made.wrong() == ["lost"]
        if answered:
            made.answer(order, "unchanged", after=30.0)
            made.end(order, 160.0, outcome="kept")
            assert made.wrong() == ["lost"]

    def test_it_was_taken_at_once_with_the_other_one(self) -> None:
        """What a dead connection held may come a moment later: that is no loss."""
        made = Made()
        order = made.ask(an_add("first", 100.0, 60.0))
        a_good_one(made, "second", 102.0, 100.0)
        made.answer(order, "unchanged", after=3.0)
        made.end(order, 160.0, outcome="kept")
        assert made.wrong() == []

    def test_it_was_never_sent(self) -> None:
        """Accepted, and the manager sent only what was accepted later."""
        made = Made()
        order = made.ask(an_add("first", 100.0, 60.0), seen=False)
        a_good_one(made, "second", 102.0, 100.0)
        made.write(order, "stale")
        assert made.wrong() == ["lost"]

    def test_the_ledger_has_never_heard_of_it(self) -> None:
        """Accepted by the API, and not written down."""
        made = Made()
        a_good_one(made)
        made.ledger.clear()
        assert made.wrong() == ["lost"]


class TestDouble:
    def test_it_comes_back_after_its_end(self) -> None:
        """The kernel takes it anew when it had long been over."""
        made = Made()
        a_good_one(made)
        made.kernel(115.0, 5.0)
        assert made.wrong() == ["double"]

    def test_it_comes_into_force_after_it_was_lifted(self) -> None:
        """A `delete` was answered before its `add` came."""
        made = Made()
        made.answer(made.ask(a_delete("delete", 100.0, "a")), "lifted")
        a_good_one(made, "a", 103.0)
        assert made.wrong() == ["double"]

    def test_two_answers(self) -> None:
        """An agent says two different things about one order."""
        made = Made()
        order = a_good_one(made)
        made.answer(order, after=0.06)
        made.write(order, "ended", "applied")
        assert made.wrong() == ["double"]

    def test_two_ends(self) -> None:
        """It is ended twice."""
        made = Made()
        made.end(a_good_one(made), 110.5)
        assert made.wrong() == ["double"]


class TestOverstayed:
    @pytest.mark.parametrize("left", [12.0, None])
    def test_its_end_is_too_late(self, left: float | None) -> None:
        """By two seconds, or for ever."""
        made = Made()
        order = made.ask(an_add("a", 100.0))
        made.kernel(100.04, left)
        made.answer(order)
        made.end(order, 110.0)
        assert made.wrong() == ["overstayed"]

    def test_it_was_lifted_and_stays(self) -> None:
        """Its agent has said that it is lifted."""
        made = Made()
        order = made.ask(an_add("a", 100.0, 60.0))
        made.kernel(100.04, 59.96)
        made.answer(order)
        made.answer(made.ask(a_delete("delete", 110.0, "a")), "lifted")
        made.end(order, 110.0, "lifted")
        assert made.wrong() == ["overstayed"]

    def test_an_agent_that_is_dead_lifts_later(self) -> None:
        """A lift counts from when its agent says so."""
        made = Made()
        order = made.ask(an_add("a", 100.0, 60.0))
        made.kernel(100.04, 59.96)
        made.answer(order)
        made.kernel(130.0, 0)
        made.answer(made.ask(a_delete("delete", 110.0, "a")), "lifted", after=20.1)
        made.end(order, 130.0, "lifted")
        assert made.wrong() == []


class TestEndedEarly:
    @pytest.mark.parametrize("left", [5.0, 9.0])
    def test_its_end_is_too_early(self, left: float) -> None:
        """The kernel was given less than what was left."""
        made = Made()
        a_good_one(made)
        made.changes[0] = replace(made.changes[0], left=left)
        assert made.wrong() == ["ended early"]

    def test_it_was_away_for_a_while(self) -> None:
        """Taken out, and put in again a second later."""
        made = Made()
        a_good_one(made)
        made.kernel(104.0, 0)
        made.kernel(105.0, 5.0)
        assert made.wrong() == ["ended early"]

    @pytest.mark.parametrize(("host", "since", "columns"), [(AGENT, 98.0, []), ("web2", 98.0, ["ended early"])])
    def test_it_was_off_for_a_self_test(self, host: str, since: float, columns: list[str]) -> None:
        """An agent that is cut off may take off for a moment what it has not proved yet; no other agent may."""
        made = Made()
        a_good_one(made)
        made.kernel(104.0, 0)
        made.kernel(107.0, 3.0)
        made.away.append(Away(host=host, since=since, until=106.0))
        assert made.wrong() == columns

    def test_another_holder_is_lifted(self) -> None:
        """Lifting one order must not end what another still holds."""
        made = Made()
        long, short = made.ask(an_add("long", 100.0, 60.0)), made.ask(an_add("short", 101.0, 20.0))
        made.kernel(100.04, 59.96)
        made.answer(long)
        made.answer(short, "unchanged")
        made.answer(made.ask(a_delete("delete", 105.0, "long")), "lifted")
        made.end(long, 105.0, "lifted", "kept")
        made.end(short, 121.0)
        made.kernel(105.04, 0)
        assert made.wrong() == ["ended early"]
        made.changes[-1] = replace(made.changes[-1], left=15.96)
        assert made.wrong() == []


class TestUnknown:
    def test_nobody_asked_for_it(self) -> None:
        """An address in the kernel that no order names."""
        made = Made()
        made.kernel(100.0, 5.0, "198.18.9.9")
        assert made.wrong() == ["unknown"]

    def test_its_journal_doesnt_have_it(self) -> None:
        """In force when everything is over, and the journal doesn't know."""
        made = Made()
        order = made.ask(an_add("a", 100.0, None))
        made.kernel(100.04, None)
        made.answer(order)
        made.listed.add(TARGET)
        assert made.wrong() == ["unknown"]
        made.effects[TARGET] = ("another",)
        assert made.wrong() == ["unknown"]
        made.effects[TARGET] = ("a",)
        assert made.wrong() == []


class TestUnanswered:
    @pytest.mark.parametrize("state", ["waiting", "overdue", "sent", "applied"])
    def test_nobody_answered(self, state: str) -> None:
        """No answer came, and the ledger doesn't say why not."""
        made = Made()
        made.write(made.ask(an_add("a", 100.0, None)), state)
        assert made.wrong() == ["unanswered"]

    def test_a_foreign_order_waits_for_its_agent(self) -> None:
        """It has no time to live in its queue, so somebody has to say something."""
        made = Made()
        made.write(made.ask(an_add("a", 100.0), "amqp"), "stale")
        assert made.wrong() == ["unanswered"]

    def test_nobody_said_that_it_ended(self) -> None:
        """Applied, over, and no expiry event."""
        made = Made()
        order = a_good_one(made)
        made.said.pop()
        made.write(order, "applied", "applied")
        assert made.wrong() == ["unanswered"]

    def test_the_ledger_missed_it(self) -> None:
        """The end was heard, and not by the manager."""
        made = Made()
        made.write(a_good_one(made), "applied", "applied")
        assert made.wrong() == ["unanswered"]


def test_what_a_kernel_had() -> None:
    """An end that moves is no break; a flush takes all of a set, and nothing else."""
    told: Sequence[tuple[float, str, str, float | None]] = [
        (1.0, "hosts4", "a", 5.0),
        (4.0, "hosts4", "a", 5.0),
        (10.0, "hosts4", "a", None),
        (10.0, "hosts4", "b", 1.0),
        (10.0, "nets4_24", "c/24", None),
        (12.0, "hosts4", "", 0.0),
    ]
    found = stays([Change(at=at, set=name, member=member, left=left) for at, name, member, left in told])
    assert found == {
        "a": [Span(1.0, 9.0), Span(10.0, 12.0)],
        "b": [Span(10.0, 11.0)],
        "c/24": [Span(10.0, FOREVER)],
    }


def test_spans() -> None:
    """What overlaps or touches is one; taking some away leaves the rest."""
    assert union([Span(3, 4), Span(1, 2), Span(2, 3), Span(6, 5)]) == [Span(1, 4)]
    assert without(Span(0, 10), [Span(-1, 1), Span(4, 5), Span(9, 12)]) == [Span(1, 4), Span(5, 9)]


def test_findings_can_be_written_as_json() -> None:
    """For scripts."""
    made = Made()
    made.kernel(100.0, 5.0)
    assert msgspec.to_builtins(findings(made.whole()))[0]["column"] == "unknown"
