"""What the protocol says of an agent, in a few lines and without a journal; and the machine that holds a real one
against it, whatever comes, in whatever order, whatever crashes and whoever else has a hand in the firewall.
"""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule

from agent.watch import GRACE, LOOK
from shared.messages import Acknowledgement, Order
from tests.stage.fake_action import FakeAction
from tests.unit.a_host import AHost, Crash

HOSTS = st.sampled_from([f"203.0.113.{number}" for number in range(1, 4)])
TIMEOUTS = st.sampled_from([None, 3.0, 30.0, 120.0])
AGES = st.sampled_from([0.0, 2.5, 25.0])  # s that an order was on its way
SPANS = st.sampled_from([0.5, 1.0, 2.0, 27.0, 200.0])
BY_HAND = st.sampled_from([None, 500.0])  # s of what somebody puts into the firewall
SAME = 0.001
BRIEF = 1.0  # s: what has no more left isn't put right and isn't adopted
FOREVER = float("inf")


class Model:
    """`now` is the boot clock."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[str, str]] = {}
        self.ends: dict[str, tuple[str, str]] = {}
        self.holds: dict[str, tuple[str, float]] = {}  # order -> host, end
        self.waiting: list[tuple[Order, float]] = []
        self.lifted: set[str] = set()
        self.seen: set[str] = set()
        self.adopted: dict[str, float] = {}  # host -> end
        self.released: set[str] = set()  # hosts; the next turn reverts them
        self.caught_up = False
        self.release_at = FOREVER

    def take(self, order: Order, left: float, now: float) -> None:
        if order.id in self.seen and self.answers.get(order.id, ("",))[0] != "stale":
            return
        word = ""
        if order.operation == "add":
            word = "lifted" if order.id in self.lifted else "stale" if left < 1 else ""
        if word and order.id in self.seen:  # it was stale, and is answered as before
            return
        self.seen.add(order.id)
        self.answers.pop(order.id, None)
        self.lifted |= set(order.lifts)
        if word:
            self.answers[order.id] = (word, "")
        else:
            self.waiting.append((order, now + left))

    def turn(self, now: float) -> None:
        self.release_in_time(now)
        self.released = set()
        self.adopted = {host: end for host, end in self.adopted.items() if end > now}
        over = {each for each, (_, end) in self.holds.items() if end <= now or each in self.lifted}
        for host in {self.holds[each][0] for each in over}:
            leaving = [each for each in over if self.holds.get(each, ("",))[0] == host]
            self._end(host, sorted(leaving, key=self._last))
        for order, end in self.waiting:
            self._carry_out(order, end, now)
        self.waiting = []

    def _last(self, order_id: str) -> tuple[float, int]:
        return self.holds[order_id][1], list(self.holds).index(order_id)

    def _end(self, host: str, over: list[str]) -> None:
        for each in over:
            del self.holds[each]
            self.ends[each] = ("lifted" if each in self.lifted else "timeout", "kept")
        if self.until(host) is None and host not in self.adopted:
            self.ends[over[-1]] = (self.ends[over[-1]][0], "reverted")

    def _carry_out(self, order: Order, end: float, now: float) -> None:
        until = self.until(order.target)
        if order.operation == "delete" or order.id in self.lifted:
            self.answers[order.id] = ("lifted", "")
        elif end <= now:
            self.answers[order.id] = ("stale", "")
        else:
            self.holds[order.id] = (order.target, end)
            if until is not None and end <= until + SAME:
                self.answers[order.id] = ("unchanged", "")
            else:
                self.answers[order.id] = ("applied", "new" if until is None else "extended")

    def until(self, host: str) -> float | None:
        """When the orders for the host end; None when there are none."""
        return max((end for where, end in self.holds.values() if where == host), default=None)

    def in_force(self) -> dict[str, float]:
        """What the host is to have, and until when."""
        ends = dict(self.adopted)
        for host, end in self.holds.values():
            ends[host] = max(end, ends.get(host, end))
        return ends

    def reboot(self, shift: float) -> None:
        self.holds = {each: (host, end + shift) for each, (host, end) in self.holds.items()}
        self.waiting = [(order, end + shift) for order, end in self.waiting]
        self.adopted = {host: end + shift for host, end in self.adopted.items()}

    def start(self, found: dict[str, float], now: float) -> None:
        """What the journal knows comes first; what is on the host besides is adopted."""
        coming = {order.target for order, _ in self.waiting if order.operation == "add"}
        known = self.in_force().keys() | self.released | coming
        self.release_at = FOREVER  # the process that was to do it is gone
        self.turn(now)
        self.adopted |= {host: end for host, end in found.items() if host not in known and end > now + BRIEF}
        self.release_at = now + GRACE if self.caught_up and self.adopted else FOREVER

    def release_in_time(self, now: float) -> None:
        if now >= self.release_at:
            self.release()

    def release(self) -> None:
        self.released |= self.adopted.keys()
        self.adopted, self.caught_up, self.release_at = {}, True, FOREVER


class Machine(RuleBasedStateMachine):
    """The real one and the model, fed the same. A subclass may set `action`."""

    orders: Bundle[Order] = Bundle("orders")
    ids = 0
    action: Callable[..., Any] = FakeAction

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(prefix="thwart-", dir="/dev/shm")
        self.host = AHost(Path(self.folder.name), type(self).action)
        self.model = Model()

    def teardown(self) -> None:
        self.host.close()
        self.loop.close()
        self.folder.cleanup()

    @property
    def now(self) -> float:
        return self.host.clock.boot()

    @rule(target=orders, host=HOSTS, timeout=TIMEOUTS, age=AGES)
    def order(self, host: str, timeout: float | None, age: float) -> Order:
        """One that a manager has sent, and that has not arrived."""
        self.ids += 1
        sent = self.host.clock.wall() - age
        ends = None if timeout is None else sent + timeout
        deadline = sent + (timeout or 86_400.0)
        return self.host.add(f"a{self.ids}", host, timeout, issued_at=sent, expires_at=ends, deadline=deadline)

    @rule(target=orders, some=st.lists(orders, min_size=1, max_size=3))
    def order_the_end(self, some: list[Order]) -> Order:
        self.ids += 1
        return self.host.delete(f"d{self.ids}", *(each.id for each in some if each.operation == "add"))

    @rule(some=st.lists(orders, min_size=1, max_size=4))
    def arrive(self, some: list[Order]) -> None:
        """In one batch, perhaps for the second time."""
        self.run(self.host.take(*some))
        for order in some:
            self.model.take(order, self.left(order), self.now)

    @rule()
    def turn(self) -> None:
        self.run(self.host.turns())
        self.agree()

    @rule(seconds=SPANS)
    def pass_time(self, seconds: float) -> None:
        self.host.clock.pass_(seconds)

    @rule(seconds=st.sampled_from([-300.0, -2.0, 2.0, 300.0]))
    def step_the_wall_clock(self, seconds: float) -> None:
        self.host.clock.wall_at += seconds
        self.run(self.host.journal.tidy())

    @rule(seconds=SPANS)
    def crash_between_host_and_journal(self, seconds: float) -> None:
        self.host.journal.deadly = True
        self.model.release_in_time(self.now)  # which is a commit of its own
        with suppress(Crash):  # no turn may be due
            self.run(self.host.turns())
        self.host.clock.pass_(seconds)
        self.start(self.host.restart())

    @rule(away=SPANS)
    def reboot(self, away: float) -> None:
        """No more time has passed than the wall clock says, which may have been stepped back meanwhile."""
        self.run(self.host.journal.tidy())
        before, wall = self.now, self.host.clock.wall()
        passed = max(0.0, wall + away - max(wall, self.never_earlier_than()))
        self.run(self.host.reboot(away))
        self.model.reboot(self.now - before - passed)
        self.model.start({}, self.now)
        self.agree()

    @rule(host=HOSTS)
    def lift_by_hand(self, host: str) -> None:
        self.run(self.host.executor.lift(lambda hold: hold.target == host))
        self.run(self.host.turns())
        waiting = {order.id for order, _ in self.model.waiting if order.operation == "add" and order.target == host}
        self.model.lifted |= waiting | {each for each, (where, _) in self.model.holds.items() if where == host}
        self.model.adopted.pop(host, None)
        self.agree()

    @rule(left=st.dictionaries(HOSTS, BY_HAND))
    def somebody_edits_the_firewall(self, left: dict[str, float | None]) -> None:
        """Flushes it, deletes something, puts something in: the next look puts it right."""
        self.turn()
        self.host.action.tamper(left)
        self.host.clock.pass_(LOOK + 1.0)
        self.turn()

    @rule(left=st.dictionaries(HOSTS, BY_HAND))
    def somebody_edits_the_firewall_while_the_agent_is_away(self, left: dict[str, float | None]) -> None:
        """What was put in then is held for a while, or until a manager has had its say."""
        self.host.action.tamper(left)
        self.start(self.host.restart())

    @rule()
    def lose_the_journal(self) -> None:
        """What the kernel has is held, and every order is a new one."""
        self.model = Model()
        self.start(self.host.lose_the_journal())

    @rule(some=st.lists(orders, max_size=4))
    def catch_up(self, some: list[Order]) -> None:
        """A manager sends what it will, and that this was all."""
        self.arrive(some)
        self.run(self.host.journal.release())
        self.model.release()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """The process begins, and finds the host as it is."""
        found = {host: FOREVER if left is None else self.now + left for host, left in self.host.in_force().items()}
        self.run(work)
        self.model.start(found, self.now)
        self.agree()

    def agree(self) -> None:
        """After a turn: the kernel, what was said, and that it was said once."""
        self.model.turn(self.now)
        self.agree_on_the_host()
        self.agree_on_what_was_said()

    def agree_on_the_host(self) -> None:
        found = {host: FOREVER if left is None else left for host, left in self.host.in_force().items()}
        wanted = {host: end - self.now for host, end in self.model.in_force().items()}
        for host in found.keys() | wanted.keys():
            has, should = found.get(host, 0.0), wanted.get(host, 0.0)
            assert has == pytest.approx(should, abs=0.05) or max(has, should) <= BRIEF, (host, found, wanted)

    def agree_on_what_was_said(self) -> None:
        answers: dict[str, set[tuple[str, str]]] = {}
        ends: dict[str, Any] = {}
        for each in self.host.said():
            if isinstance(each, Acknowledgement):
                told = answers.setdefault(each.order_id, set())
                told.add((each.status, each.detail if each.status == "applied" else ""))
            else:
                assert ends.setdefault(each.order_id, each) == each
        done = {each: {answer} for each, answer in self.model.answers.items()}
        for told in answers.values():
            if len(told) > 1:
                told.discard(("stale", ""))
        assert answers == done
        assert {each: (end.cause, end.outcome) for each, end in ends.items()} == self.model.ends

    def never_earlier_than(self) -> float:
        """The wall clock as it would be if nobody had stepped it since the process began."""
        since = self.host.journal._since
        return since.wall + self.now - since.boot

    def left(self, order: Order) -> float:
        """Seconds until it is over, as the protocol has it."""
        if order.timeout is None:
            return FOREVER if order.deadline >= self.host.clock.wall() else 0.0
        return min(order.timeout, order.expires_at - self.host.clock.wall())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)
