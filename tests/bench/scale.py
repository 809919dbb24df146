"""An agent with very many effects: how soon they are in force after a start, and what it costs to have them.

Each journal is written by the agent's own parts. When the daemon starts, the kernel is empty, as after a reboot.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pika
from msgspec import Struct
from pika.adapters.blocking_connection import BlockingChannel
from rich.table import Table

from agent import folder as state_folder
from agent import host as this_host
from agent.actions.firewall_drop.nftables import Nftables
from agent.executor import Executor
from agent.journal.journal import Journal
from agent.journal.schema import SCHEMA
from agent.journal.taking import Incoming
from agent.metrics import AgentMetrics
from agent.trouble import Trouble
from shared import codec, topology
from shared.clock import SystemClock
from shared.messages import Order
from shared.store import Store
from tests.bench import frame
from tests.bench.busy import Busy
from tests.bench.usage import megabytes, seconds_used
from tests.stage.fake_action import FakeAction
from tests.stage.fleet import Fleet
from tests.stage.guard import Guard
from tests.stage.kernel import KernelWatch
from tests.waiting import wait_for

SIZES = (1_000, 10_000, 100_000)
START, STARTED = 1.0, 10_000  # s from the open journal until all of so many are in the kernel
MEMORY = 120.0  # MB at most, whatever it did
SLOWER = 1.25  # one more block at the most effects, by what it takes at the fewest
IDLE = 10.0  # s: one heartbeat
TRIES, BATCH = 100, 5_000
LASTS = 86_400.0  # s
PATIENCE = 120.0  # s
CLEAR = "DELETE FROM outbox"


class Figures(Struct, frozen=True, kw_only=True):
    """Of an agent with so many effects."""

    effects: int
    start: float  # s from the open journal until all are in the kernel
    memory: float  # MB once it has started
    idle: float  # share of one processor's time while nothing happens
    one_more: float  # ms, median, from a publish to the kernel
    restored: float  # s from `nft flush ruleset` until all are in the kernel again
    most: float  # MB at most, all of this included


class Loaded:
    """A running agent with so many effects."""

    def __init__(self, guard: Guard, fleet: Fleet, effects: int) -> None:
        self.effects, self.name = effects, f"with{effects}"
        self.daemon = fleet.add_agent(self.name, 20 + len(fleet.agents))
        state = self.daemon.folder / "state"
        state.mkdir()
        asyncio.run(_write_journal(state, self.name, effects))
        self.started = self._start(state / f"{state_folder.JOURNAL}-shm")
        self.memory = megabytes(self.daemon.process.pid)
        self.watch = KernelWatch(guard, self.daemon.host)
        self.one_more: list[float] = []

    def _start(self, opened: Path) -> float:
        """Seconds from the moment at which SQLite has opened the journal until everything is in the kernel."""
        self.daemon.start()
        wait_for(lambda: opened.exists() or not self.daemon.running, PATIENCE)
        at = time.time()
        wait_for(lambda: self._logged("started") or not self.daemon.running, PATIENCE)
        took = time.time() - at
        assert len(self._in_force()) == self.effects, self.daemon.process.last_words()
        wait_for(lambda: self._logged("broker_connected"), PATIENCE)
        return took

    def idle(self) -> float:
        """The share of one processor's time that it uses while nothing happens."""
        pid = self.daemon.process.pid
        used = seconds_used(pid)
        time.sleep(IDLE)
        return (seconds_used(pid) - used) / IDLE

    def block(self, channel: BlockingChannel) -> None:
        """One more; how long it takes from the publish to the kernel."""
        target = f"198.18.0.{len(self.one_more) + 1}"
        body, began = codec.encode(_order(self.name, target)), time.time()
        channel.basic_publish(topology.ORDERS, f"agent.{self.name}", body)
        taken = wait_for(lambda: self.watch.taken(target, began), PATIENCE)
        self.one_more.append(((taken or 0.0) - began) * 1_000)

    def figures(self) -> Figures:
        """All of them; ends the agent."""
        idle, restored = self.idle(), self._flushed()
        most = megabytes(self.daemon.process.pid, most=True)
        self.daemon.stop()
        return Figures(
            effects=self.effects,
            start=self.started,
            memory=self.memory,
            idle=idle,
            one_more=statistics.median(self.one_more),
            restored=restored,
            most=most,
        )

    def _flushed(self) -> float:
        """Somebody flushes the ruleset; seconds until everything is there again."""
        began = time.time()
        self.daemon.host.run("nft", "flush", "ruleset")
        wait_for(lambda: len(self._in_force()) >= self.effects, PATIENCE)
        return time.time() - began

    def _in_force(self) -> dict[str, float | None]:
        return self.daemon.host.call(lambda: Nftables().inspect())

    def _logged(self, action: str) -> bool:
        return f'"action": "{action}"'.encode() in self.daemon.log.read_bytes()


def measure(guard: Guard, folder: Path, sizes: Sequence[int]) -> list[Figures]:
    """Agents with so many effects; blocks come to them in turns, so that all have the same machine."""
    fleet = Fleet(guard, folder / "fleet")
    fleet.broker.start()
    agents = [Loaded(guard, fleet, effects) for effects in sizes]
    url = pika.URLParameters(f"{fleet.broker.url}?heartbeat=0")
    channel = fleet.hosts["manager1"].call(lambda: pika.BlockingConnection(url)).channel()
    for _ in range(TRIES):
        for agent in agents:
            agent.block(channel)
    found = [agent.figures() for agent in agents]
    fleet.close()
    return found


async def _write_journal(state: Path, agent_id: str, effects: int) -> None:
    """As an agent leaves it that has carried out so many orders and told everybody."""
    store, clock = Store(state / state_folder.JOURNAL, SCHEMA), SystemClock()
    journal, action = Journal(store, agent_id, this_host.boot_id(), clock), FakeAction(clock)
    executor = Executor(journal, {action.name: action}, metrics=AgentMetrics(), trouble=Trouble(), limit=BATCH)
    orders = [_order(agent_id, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(effects)]
    for begin in range(0, effects, BATCH):
        await journal.take([Incoming(order=order, key=order.target) for order in orders[begin : begin + BATCH]])
        await executor.turn()
    await store.run(lambda connection: connection.execute(CLEAR))
    executor.close()
    store.close()


def _order(agent_id: str, target: str) -> Order:
    now = time.time()
    return Order(
        id=f"{target:>32}".replace(" ", "0"),
        operation="add",
        action="firewall-drop",
        location="agent",
        agents=(agent_id,),
        target=target,
        timeout=LASTS,
        issued_at=now,
        deadline=now + LASTS,
        expires_at=now + LASTS,
    )


def missed(found: Sequence[Figures]) -> list[str]:
    """What isn't as wanted."""
    few, many = found[0], found[-1]
    slow = [each for each in found if each.effects <= STARTED and each.start > START]
    return [
        *[f"{each.effects:,} in the kernel after {each.start:.2f} s, wanted {START:.0f} s" for each in slow],
        *([f"{many.most:.0f} MB, wanted {MEMORY:.0f}"] if many.most > MEMORY else []),
        *(["one more block is slower with many"] if many.one_more > few.one_more * SLOWER else []),
    ]


def shown(found: Sequence[Figures]) -> Table:
    """A table for people."""
    table = frame.table("effects", "all in force, s", "MB", "idle", "one more, ms", "after a flush, s", "MB at most")
    for each in found:
        table.add_row(
            f"{each.effects:,}",
            f"{each.start:.2f}",
            f"{each.memory:.0f}",
            f"{each.idle:.1%}",
            f"{each.one_more:.2f}",
            f"{each.restored:.1f}",
            f"{each.most:.0f}",
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 when it isn't as wanted."""
    parser = frame.options("scale", __doc__)
    parser.add_argument("--effects", type=int, nargs="+", default=SIZES, help="fewest first")
    wanted = parser.parse_args(arguments)
    with frame.stage() as (guard, folder):
        busy = Busy()
        found = measure(guard, folder, wanted.effects)
        share = busy.share()
    wrong = missed(found)
    said = f"NOT REACHED: {'; '.join(wrong)}" if wrong else "all as wanted"
    figures = {"ok": not wrong, "missed": wrong, "of": found}
    frame.tell(figures, share, shown(found), said, as_json=wanted.json)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
