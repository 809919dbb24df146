"""An agent's journal and executor on a real SQLite file, a host that only keeps books, and a clock moved by hand."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from agent.executor import Executor
from agent.journal.journal import Journal
from agent.journal.planning import Name, Turn
from agent.journal.schema import SCHEMA
from agent.journal.settling import Outcome, Settled
from agent.journal.taking import Incoming, Taken
from agent.metrics import AgentMetrics
from agent.trouble import Trouble
from shared import codec
from shared.messages import Acknowledgement, Expiry, Order
from shared.store import Store
from tests.stage.fake_action import FakeAction

T = TypeVar("T")
START = 1_764_000_000.0
AGENT = "web1"
ATTACKER = "203.0.113.9"


class Crash(BaseException):
    """The process is killed here."""


class HostClock:
    """Both clocks move together, unless the wall clock is stepped or the host is booted anew."""

    def __init__(self) -> None:
        self.wall_at, self.booted_for = START, 1_000.0
        self.when_passed: Callable[[float], None] = lambda seconds: None

    def wall(self) -> float:
        return self.wall_at

    def boot(self) -> float:
        return self.booted_for

    def pass_(self, seconds: float) -> None:
        self.wall_at += seconds
        self.booted_for += seconds
        self.when_passed(seconds)


class KilledJournal(Journal):
    """Between the host and the journal: `meanwhile` happens, and once `deadly` is set the process dies."""

    deadly = False
    meanwhile: Callable[[], Awaitable[Any]] | None = None

    async def settle(self, turn: Turn, outcomes: Mapping[Name, Outcome]) -> Settled:
        if self.deadly:
            raise Crash
        if self.meanwhile:
            await self.meanwhile()
            self.meanwhile = None
        return await super().settle(turn, outcomes)


class AHost:
    """The parts, wired as the daemon wires them. The host and the file survive a crash, nothing else does."""

    def __init__(self, folder: Path, action: Callable[[HostClock], Any] = FakeAction) -> None:
        """`action` makes what is carried out; it gets the clock."""
        self.path = folder / "journal.db"
        self.clock = HostClock()
        self.boot_id = "boot-1"
        self.action = action(self.clock)
        self.trouble = Trouble()
        self.when_said: Callable[[], None] = lambda: None  # called when something was put into the outbox
        self._open()

    def _open(self) -> None:
        self.store = Store(self.path, SCHEMA)
        self.journal = KilledJournal(self.store, AGENT, self.boot_id, self.clock)
        self.metrics = AgentMetrics()
        actions = {self.action.name: self.action}
        self.executor = Executor(
            self.journal, actions, metrics=self.metrics, trouble=self.trouble, said=lambda: self.when_said()
        )

    async def start(self) -> None:
        """As the daemon does, once its parts are there."""
        await self.executor.start()

    async def restart(self) -> None:
        """The process ends, cleanly or not, and another one begins."""
        self.close()
        self._open()
        await self.start()

    async def lose_the_journal(self) -> None:
        """The process is killed, and its file with it."""
        self.close()
        self.path.unlink()
        self._open()
        await self.start()

    async def reboot(self, away: float = 0.0) -> None:
        """The host is down for `away` seconds, and comes up with an empty firewall and a boot clock of its own."""
        self.close()
        self.clock.pass_(away)
        self.clock.booted_for = 7.0
        self.boot_id += "+"
        self.action.flush()
        self._open()
        await self.start()

    async def take(self, *orders: Order) -> Taken:
        return await self.journal.take([self.incoming(order) for order in orders])

    def incoming(self, order: Order) -> Incoming:
        return Incoming(order=order, key=self.action.key(order.target, ()) if order.operation == "add" else "")

    async def do(self, *orders: Order) -> None:
        """Takes `orders` and carries them out."""
        await self.take(*orders)
        await self.turns()

    async def turns(self) -> None:
        """Turns until there is nothing to do."""
        while await self.executor.turn():
            pass

    async def after(self, seconds: float) -> None:
        """Time passes, and what is due is done."""
        self.clock.pass_(seconds)
        await self.turns()

    def in_force(self) -> dict[str, float | None]:
        return self.action.inspect()

    def said(self) -> list[Acknowledgement | Expiry]:
        """Every message that was put into the outbox, oldest first; none is ever sent here."""
        rows = self.store.run_now(lambda c: c.execute("SELECT kind, body FROM outbox ORDER BY seq").fetchall())
        kinds = {"acknowledgement": Acknowledgement, "expiry": Expiry}
        return [codec.decode(row["body"], kinds[row["kind"]]) for row in rows if row["kind"] in kinds]

    def answers(self, order_id: str = "o1") -> list[tuple[str, str]]:
        """Status and detail of each answer to an order."""
        said = [each for each in self.said() if isinstance(each, Acknowledgement) and each.order_id == order_id]
        return [(each.status, each.detail) for each in said]

    def ends(self, order_id: str = "o1") -> list[tuple[str, str]]:
        """Cause and outcome of each end of an order."""
        said = [each for each in self.said() if isinstance(each, Expiry) and each.order_id == order_id]
        return [(each.cause, each.outcome) for each in said]

    def counts(self) -> Counter[str]:
        """How many answers and ends each order has."""
        return Counter(f"{type(each).__name__} {each.order_id}" for each in self.said())

    def close(self) -> None:
        self.executor.close()
        self.store.close()

    def add(self, order_id: str = "o1", target: str = ATTACKER, timeout: float | None = 600.0, **said: Any) -> Order:
        now = self.clock.wall()
        span = 30 * 86_400.0 if timeout is None else timeout
        fields = {
            "operation": "add",
            "action": "firewall-drop",
            "location": "agent",
            "agents": (AGENT,),
            "issued_at": now,
            "deadline": now + span,
            "timeout": timeout,
            "expires_at": None if timeout is None else now + timeout,
            **said,
        }
        return Order(id=order_id, target=target, **fields)

    def delete(self, order_id: str, *lifts: str, target: str = ATTACKER, **said: Any) -> Order:
        return self.add(order_id, target, None, operation="delete", lifts=lifts, **said)


async def killed(work: Callable[[], Awaitable[Any]]) -> None:
    """Does `work`, in which the process is killed."""
    try:
        await work()
    except Crash:
        return
    raise AssertionError("nothing killed it")
