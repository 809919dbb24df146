"""One block's life, looked at from outside: the broker's messages, the kernel by nft, and real connections.

Each part raises AssertionError, with a sentence, when it did not really happen.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from msgspec import Struct

from shared.messages import Acknowledgement, Expiry, Location, Order
from tests.stage.attacker import Attack
from tests.stage.fleet import Fleet
from tests.stage.judge import Judge
from tests.stage.kernel import KernelWatch, in_force
from tests.stage.probe import Listener, dropped, side_by_side
from tests.stage.timeline import Timeline, quoted
from tests.waiting import wait_for

T = TypeVar("T")
BYSTANDER = "203.0.113.67"  # never attacks, so it always gets through
ATTACK = 30.0  # s for an attack to be answered with an order
ANSWER = 3.0  # s for what follows an order at once
ORDINALS = {1: "first", 2: "second"}
LATE = 1.0  # s that a block may end late

PARTS = ("attacked", "ordered", "applied", "proved", "ended", "open again")  # in this order

Place = tuple[Location, tuple[str, ...]]


class Block(Struct, frozen=True, kw_only=True):
    """What an attack is to lead to."""

    name: str
    title: str
    source: str
    users: tuple[str, ...]
    failure: str  # what sshd logs of it, before the user's name
    rule: str
    places: frozenset[Place]
    timeout: float
    offence: int


class Scene(Struct, frozen=True, kw_only=True):
    """Where it happens, and who looks."""

    fleet: Fleet
    judge: Judge
    watches: dict[str, KernelWatch]  # by host
    listeners: dict[str, Listener]  # by host: a service that nobody attacks
    timeline: Timeline

    def reached(self, *sources: str) -> dict[tuple[str, str], bool]:
        """For each host and each of `sources`: whether a connection to the host's listener works."""
        asked = [(name, source) for name in self.listeners for source in sources]
        pairs = [(source, self.listeners[name]) for name, source in asked]
        return dict(zip(asked, side_by_side(self.fleet.attacker, pairs), strict=True))


class Life:
    """A block from its attack to its end, lived in PARTS."""

    def __init__(self, scene: Scene, block: Block) -> None:
        self._scene, self._block, self._tell = scene, block, scene.timeline
        self._orders: list[Order] = []
        self.line_at = 0.0  # when syslog stamped the line that fired the rule
        self.latencies: dict[str, dict[str, float]] = {}  # agent -> stage -> milliseconds

    def attacked(self) -> None:
        """A real ssh client guesses until an order goes out."""
        block, log = self._block, self._scene.fleet.web1_log
        known = {order.id for order in self._scene.judge.orders}
        before = log.read_text().count("\n")
        self._tell.chapter(block.title)
        self._tell.say("attacker", f"{block.source} guesses the passwords of {_listed(block.users[:4])} … over ssh")
        attack = Attack(self._scene.fleet.attacker, block.source, self._scene.fleet.hosts["web1"].address, block.users)
        with self._tell.waiting("attacking"):
            answered = attack.until(lambda: self._new_orders(known) != [], ATTACK)
        written = [line for line in log.read_text().splitlines()[before:] if f"from {block.source} " in line]
        failures = [line for line in written if block.failure in line]
        check(bool(failures), f"sshd on web1 logged no {block.failure!r} from {block.source}")
        check(answered, f"no order within {ATTACK:.0f} s of {len(failures)} failed logins")
        for line in failures[:2]:
            self._tell.say("web1", quoted(line.split(" ", 2)[2]), at=stamp(line))
        self._orders = self._new_orders(known)

    def ordered(self) -> None:
        """The rule fires, and each response orders its block."""
        block, known = self._block, {order.id for order in self._orders}
        known = {order.id for order in self._scene.judge.orders} - known
        soon(lambda: len(self._new_orders(known)) >= len(block.places), ANSWER, f"{len(block.places)} orders")
        self._orders = self._new_orders(known)
        line = str(self._orders[0].alert["full_log"])
        self.line_at = stamp(line)
        self._tell.say("web1", f"{quoted(line.split(' ', 2)[2])}  [dim]← the line that did it[/dim]", at=self.line_at)
        for order in self._orders:
            told = f"rule {order.rule_id}: block {order.target} on {_where(order)} for {order.timeout:g} s"
            told += f", {ORDINALS.get(order.offence, order.offence)} offence"
            self._tell.say("manager1", told, at=order.issued_at, after=order.issued_at - self.line_at)
            check(order.rule_id == block.rule, f"rule {order.rule_id} fired instead of {block.rule}")
            check(order.offence == block.offence, f"offence {order.offence} instead of {block.offence}")
            check(order.timeout == block.timeout, f"a timeout of {order.timeout} s instead of {block.timeout:g}")
        places = {(order.location, order.agents) for order in self._orders}
        check(places == block.places, f"ordered for {sorted(places)} instead of {sorted(block.places)}")

    def applied(self) -> None:
        """Every kernel that the orders are for takes the address, and every agent says so."""
        for agent in self._agents():
            self._in_kernel(agent)
        wanted = {(order.id, agent) for order in self._orders for agent in self._audience(order)}
        soon(lambda: {(a.order_id, a.agent_id) for a in self._answers()} >= wanted, ANSWER, "every agent's answer")
        for answer in self._answers():
            order = next(order for order in self._orders if order.id == answer.order_id)
            detail = f" ({answer.detail})" if answer.detail else ""
            told = f"[green]{answer.status}[/green]{detail}, it answers for {_where(order)}"
            self._tell.say(answer.agent_id, told, at=answer.settled_at, after=answer.settled_at - self.line_at)
            check(answer.status in ("applied", "unchanged"), f"{answer.agent_id}: {answer.status}: {answer.detail}")
        applied = {answer.agent_id for answer in self._answers() if answer.status == "applied"}
        check(applied == set(self._agents()), f"only {sorted(applied)} answered `applied`")

    def proved(self) -> None:
        """Who attacked reaches nothing any more, not only not sshd; somebody else still does."""
        hosts, source = self._scene.fleet.hosts, self._block.source
        before = {name: dropped(hosts[name]) for name in self._agents()}
        with self._tell.waiting("trying to connect"):
            reached = self._scene.reached(source, BYSTANDER)
        for name in self._agents():
            more = dropped(hosts[name]) - before[name]
            check(not reached[name, source], f"{source} still reaches {name}, port {self._scene.listeners[name].port}")
            check(reached[name, BYSTANDER], f"{BYSTANDER} doesn't reach {name} either")
            check(more > 0, f"the kernel of {name} has dropped nothing")
            told = f"port 8080: {source} times out ({more} packets dropped), {BYSTANDER} gets through"
            self._tell.good(name, told)

    def ended(self) -> None:
        """The block ends on time in every kernel, and every agent says so."""
        wanted = {(order.id, agent) for order in self._orders for agent in self._audience(order)}
        ends = max(order.expires_at or 0.0 for order in self._orders)
        with self._tell.waiting(f"the block of {self._block.timeout:g} s ends soon"):
            left = max(0.0, ends - time.time()) + LATE + ANSWER
            soon(lambda: {(e.order_id, e.agent_id) for e in self._ends()} >= wanted, left, "every agent's expiry event")
        for end in self._ends():
            order = next(order for order in self._orders if order.id == end.order_id)
            late = end.at - (order.expires_at or 0.0)
            told = f"ended ({end.cause}, {end.outcome}) for {_where(order)}, {late * 1_000:+.0f} ms off its time"
            self._tell.say(end.agent_id, told, at=end.at)
            check(end.cause == "timeout" and end.outcome != "failed", f"{end.agent_id}: {end.cause}, {end.outcome}")
            check(-0.1 <= late <= LATE, f"{end.agent_id}: the block ended {late:+.2f} s off its time")
        for name in self._agents():
            held = in_force(self._scene.fleet.hosts[name])
            check(self._block.source not in held, f"{name}: {self._block.source} is still in the kernel's set")

    def open_again(self) -> None:
        """Who was blocked gets through again."""
        reached = self._scene.reached(self._block.source)
        closed = [name for (name, _), works in reached.items() if not works]
        check(not closed, f"{self._block.source} still doesn't reach {_listed(closed)}")
        self._tell.good("attacker", f"{self._block.source} reaches {_listed([name for name, _ in reached])} again")

    def live(self, part: str) -> None:
        """The part of that name. Raises AssertionError when it did not happen."""
        parts: dict[str, Callable[[], None]] = {
            "attacked": self.attacked,
            "ordered": self.ordered,
            "applied": self.applied,
            "proved": self.proved,
            "ended": self.ended,
            "open again": self.open_again,
        }
        parts[part]()

    def _new_orders(self, known: set[str]) -> list[Order]:
        return [o for o in self._scene.judge.orders if o.target == self._block.source and o.id not in known]

    def _answers(self) -> list[Acknowledgement]:
        ids = {order.id for order in self._orders}
        return [answer for answer in self._scene.judge.heard(Acknowledgement) if answer.order_id in ids]

    def _ends(self) -> list[Expiry]:
        ids = {order.id for order in self._orders}
        return [end for end in self._scene.judge.heard(Expiry) if end.order_id in ids]

    def _audience(self, order: Order) -> Sequence[str]:
        everyone = tuple(self._scene.fleet.agents)
        return order.agents or (everyone if order.location == "all" else ("manager1",))

    def _agents(self) -> list[str]:
        return sorted({agent for order in self._orders for agent in self._audience(order)})

    def _in_kernel(self, agent: str) -> None:
        source, watch = self._block.source, self._scene.watches[agent]
        soon(lambda: watch.taken(source, self.line_at) is not None, ANSWER, f"{source} in the kernel of {agent}")
        at = watch.taken(source, self.line_at) or 0.0
        ordered = min(order.issued_at for order in self._orders if agent in self._audience(order))
        self._tell.say(agent, f"{source} is in the kernel's set", at=at, after=at - self.line_at)
        self.latencies[agent] = {
            "line_to_order": (ordered - self.line_at) * 1_000,
            "order_to_applied": (at - ordered) * 1_000,
            "line_to_applied": (at - self.line_at) * 1_000,
        }


def check(held: bool, otherwise: str) -> None:
    """Raises AssertionError with `otherwise` when it did not hold."""
    if not held:
        raise AssertionError(otherwise)


def soon(happened: Callable[[], bool], within: float, what: str) -> None:
    """Waits for it. Raises AssertionError that names it."""
    try:
        wait_for(happened, within)
    except AssertionError:
        raise AssertionError(f"not within {within:.0f} s: {what}") from None


def stamp(line: str) -> float:
    """The instant at the head of a line with syslog's high-precision stamp, in Unix seconds."""
    return datetime.fromisoformat(line.partition(" ")[0]).timestamp()


def _where(order: Order) -> str:
    named = _listed(order.agents)
    return {"local": f"`local` {named}", "agent": f"the list {named}", "server": "`server`", "all": "`all`"}[
        order.location
    ]


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
