"""What an order for a hundred agents costs the manager: to give it, to hear what they answer, and to send it again.

The agents are played by hands that say what agents would; nobody takes the orders off their queues.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import Struct
from rich.table import Table

from shared import codec, topology
from shared.broker import Publication, Publisher
from shared.messages import Acknowledgement, Expiry, Order
from shared.store import reading
from tests.bench import frame
from tests.bench.busy import Busy
from tests.bench.usage import seconds_used
from tests.integration.a_manager_daemon import Hands, RunningManager, known
from tests.running import connected
from tests.stage.auth_log import address
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.private_broker import Login, PrivateBroker
from tests.waiting import eventually

AGENTS, ORDERS = 100, 300
TRIES = 20  # orders that are given one by one, answered and ended
PATIENCE = 300.0  # s
LASTS = 3_600.0  # s
NEVER_LATE = 86_400.0  # s to answer: nobody is reminded meanwhile

_HEARD = "SELECT max(rowid) FROM history"
_UNSENT = "SELECT count(*) FROM outbox"
_PUT = "SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'"
_IN_FORCE = "SELECT count(*) FROM order_agents WHERE state = 'waiting'"


class Cost(Struct, frozen=True, kw_only=True):
    """Of one piece of work."""

    what: str
    wall: float  # ms for each
    used: float  # ms of the manager's processor time for each


class Bench:
    """A broker, a manager, and hands that play agents."""

    def __init__(self, guard: Guard, folder: Path, agents: int) -> None:
        self._node = PrivateBroker(folder / "broker")
        self._node.start()
        self._broker = Broker(self._node, Login(name="thwart", password="", url=self._node.url))
        (folder / "manager").mkdir()
        self._manager = RunningManager(guard, self._broker, folder / "manager", manager_answer_within=NEVER_LATE)
        self._manager.start()
        self._ledger = folder / "manager" / "state" / "ledger.db"
        self._agents = [f"web{number}" for number in range(agents)]
        self._given = 0

    def close(self) -> None:
        """Ends everything; files stay until the guard closes."""
        self._manager.stop()
        self._node.close()

    async def measure(self, orders: int) -> list[Cost]:
        """All that is measured, in the order in which it is done."""
        queues = [topology.agent_queue(each, (), "classic") for each in self._agents]
        publisher = Publisher(self._broker.settings, "bench", (*topology.exchanges(), *queues))
        headers = {"Authorization": f"Bearer {self._manager.token}"}
        async with (
            httpx.AsyncClient(base_url=self._manager.url, headers=headers, trust_env=False, timeout=PATIENCE) as api,
            Hands(self._broker) as hands,
            connected(publisher),
        ):
            self._api, self._publisher = api, publisher
            await self._greet(hands)
            one = await self._one_by_one()
            row = await self._cost(f"{orders:,} orders in a row, each", orders, lambda: self._in_a_row(orders))
            count = orders * len(self._agents)
            again = await self._cost(f"{orders:,} in force sent to each again, each", count, lambda: self._again(hands))
            return [*one, row, again]

    async def _greet(self, hands: Hands) -> None:
        version = (await self._api.get("/v1/allow")).json()["version"]
        for each in self._agents:
            await hands.beat(each, policy=version)
        await known(self._manager, *self._agents)
        await eventually(self._all_sent, PATIENCE)

    async def _one_by_one(self) -> list[Cost]:
        """Giving an order, its answers and its ends, in turns; the medians of wall time."""
        turns = [await self._one() for _ in range(TRIES)]
        return [
            Cost(
                what=some[0].what,
                wall=statistics.median(each.wall for each in some),
                used=statistics.mean(each.used for each in some),  # a process's time is told in hundredths
            )
            for some in zip(*turns, strict=True)
        ]

    async def _one(self) -> list[Cost]:
        given: list[Order] = []

        async def give() -> None:
            given.append(await self._give())
            await eventually(self._all_sent, PATIENCE)

        return [
            await self._cost("one order, from the call until it is sent", 1, give),
            await self._cost("its answers, until the ledger has them", 1, lambda: self._all_say(_answer, *given)),
            await self._cost("its ends", 1, lambda: self._all_say(_end, *given)),
        ]

    async def _cost(self, what: str, count: int, work: Callable[[], Awaitable[None]]) -> Cost:
        assert self._manager.process is not None
        pid = self._manager.process.pid
        used, began = seconds_used(pid), time.perf_counter()
        await work()
        took = time.perf_counter() - began
        return Cost(what=what, wall=took / count * 1_000, used=(seconds_used(pid) - used) / count * 1_000)

    async def _in_a_row(self, orders: int) -> None:
        for _ in range(orders):
            await self._give()
        await eventually(self._all_sent, PATIENCE)

    async def _again(self, hands: Hands) -> None:
        """Every agent says that it has lost its journal."""
        version = (await self._api.get("/v1/allow")).json()["version"]
        put, in_force = self._row(_PUT), self._row(_IN_FORCE)
        for each in self._agents:
            await hands.beat(each, policy=version, journal="made anew")
        wanted = put + in_force + len(self._agents)  # and the allowlist behind them
        await eventually(lambda: self._row(_PUT) >= wanted and self._all_sent(), PATIENCE)

    async def _give(self) -> Order:
        wish = {"address": address(self._given), "location": "all", "timeout": LASTS}
        self._given += 1
        answer = await self._api.post("/v1/blocks", json={"request_id": f"request-{self._given}", **wish})
        assert answer.status_code == 201, answer.text
        return msgspec.convert(answer.json()["orders"][0], Order)

    async def _all_say(self, what: Callable[[Order, str], Acknowledgement | Expiry], order: Order) -> None:
        """Every agent says it of the order; returns when the ledger has it all."""
        before = self._row(_HEARD)
        for each in self._agents:
            event = what(order, each)
            word = "acknowledgement" if isinstance(event, Acknowledgement) else "expiry"
            key, body = f"{word}.{each}", codec.encode(event)
            sent = Publication(exchange=topology.EVENTS, routing_key=key, kind=word, message_id="", body=body)
            self._publisher.send(sent)
        await eventually(lambda: self._row(_HEARD) == before + len(self._agents), PATIENCE)

    def _all_sent(self) -> bool:
        return self._row(_UNSENT) == 0

    def _row(self, query: str) -> Any:
        with reading(self._ledger) as connection:
            return connection.execute(query).fetchone()[0] or 0


def _answer(order: Order, agent: str) -> Acknowledgement:
    now = time.time()
    said = {"status": "applied", "detail": "new", "received_at": now, "settled_at": now}
    return Acknowledgement(order_id=order.id, agent_id=agent, expires_at=order.expires_at, **said)


def _end(order: Order, agent: str) -> Expiry:
    what = {"action": order.action, "target": order.target, "cause": "timeout", "outcome": "reverted"}
    return Expiry(order_id=order.id, agent_id=agent, at=time.time(), **what)


def shown(costs: Sequence[Cost], agents: int) -> Table:
    """A table for people."""
    table = frame.table("ms", "ms of the manager's processor time", of=f"for {agents} agents")
    for each in costs:
        table.add_row(each.what, f"{each.wall:,.2f}", f"{each.used:,.2f}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or an exception when something isn't sent or heard."""
    parser = frame.options("broadcast", __doc__)
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--orders", type=int, default=ORDERS, help="in a row")
    wanted = parser.parse_args(arguments)
    with frame.stage() as (guard, folder):
        bench, busy = Bench(guard, folder, wanted.agents), Busy()
        costs = asyncio.run(bench.measure(wanted.orders))
        share = busy.share()
        bench.close()
    found = {"agents": wanted.agents, "of": costs}
    frame.tell(found, share, shown(costs, wanted.agents), as_json=wanted.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
