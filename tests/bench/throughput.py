"""Orders a second through one agent: taken, journalled, in the kernel and answered, beside raw pika over like queues.

Both are fed the same orders by the same publisher, in turns, and answer as many bytes to the same exchange with
persistent messages and confirms. Raw pika writes nothing down and does nothing else. Take the ratio, and from a machine
that does nothing else: where the processors are short, it comes close to that of the processor time.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pika
from msgspec import Struct
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker
from rich.table import Table

from shared import topology
from tests.bench import frame
from tests.bench.busy import Busy
from tests.bench.usage import seconds_used
from tests.stage.fleet import Fleet
from tests.stage.guard import Guard
from tests.stage.process import Process
from tests.stage.raw_pika import an_answer
from tests.waiting import wait_for

WANTED = 0.5  # of raw pika's rate
ORDERS, ROUNDS = 10_000, 3
AGENT, RAW = "web1", "web2"
PATIENCE = 120.0  # s for a round
HERE = (sys.executable, "-m", "tests.stage.raw_pika")


class Round(Struct, frozen=True, kw_only=True):
    """From the first order's publish until the last answer is in its queue."""

    what: str
    rate: float  # orders/s
    used: float  # µs of processor time for each order, in the process that answers


class Bench:
    """A broker, an agent and a raw answerer, each on a host of its own, and nobody who listens to the answers."""

    def __init__(self, guard: Guard, folder: Path) -> None:
        self._guard, self._folder = guard, folder
        self._fleet = Fleet(guard, folder / "fleet")
        self._fleet.broker.start()
        self._url = self._fleet.broker.url
        self._channel = self._fleet.hosts["manager1"].call(self._connect)
        self._declare()
        self._fleet.agents[AGENT].start()
        self._raw = self._start_raw()
        for name in (AGENT, RAW):
            wait_for(lambda name=name: self._is_consumed(f"thwart.agent.{name}"), PATIENCE)
        self._next = 0

    def round(self, name: str, orders: int) -> Round:
        """All of `orders` through one of the two."""
        process = self._fleet.agents[AGENT].process if name == AGENT else self._raw
        feeder = self._feeder(name, orders)
        self._channel.queue_purge(topology.MANAGER_EVENTS)
        self._channel.queue_purge(topology.MANAGER_ORDERS)
        used = seconds_used(process.pid)
        assert feeder.stdin is not None
        feeder.stdin.write("go\n")
        feeder.stdin.flush()
        wait_for(lambda: self._ready(topology.MANAGER_EVENTS) >= orders, PATIENCE)
        ended = time.time()
        used = seconds_used(process.pid) - used
        began, _ = json.loads(feeder.communicate(timeout=PATIENCE)[0])
        what = "Thwart's agent" if name == AGENT else "raw pika"
        return Round(what=what, rate=orders / (ended - began), used=used / orders * 1_000_000)

    def close(self) -> None:
        """Ends the daemons; files stay until the guard closes."""
        self._fleet.agents[AGENT].stop()
        self._raw.kill()
        self._fleet.close()

    def _feeder(self, name: str, orders: int) -> "subprocess.Popen[str]":
        words = ["feed", self._url, f"agent.{name}", str(self._next), str(orders)]
        self._next += orders  # nobody is blocked twice
        feeder = subprocess.Popen(
            [*self._fleet.hosts["manager1"].inside, *HERE, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._guard.session(feeder.pid)
        assert feeder.stdout is not None
        assert feeder.stdout.readline() == "ready\n"
        return feeder

    def _start_raw(self) -> Process:
        words = ["answer", self._url, f"thwart.agent.{RAW}", f"acknowledgement.{RAW}", str(len(an_answer(AGENT)))]
        return Process(self._guard, [*self._fleet.hosts[RAW].inside, *HERE, *words], self._folder / "raw.log")

    def _connect(self) -> BlockingChannel:
        return pika.BlockingConnection(pika.URLParameters(f"{self._url}?heartbeat=0")).channel()

    def _declare(self) -> None:
        for exchange in topology.exchanges():
            self._channel.exchange_declare(exchange.name, "topic", durable=True, arguments=exchange.arguments)
        for queue in (*topology.manager_queues("classic"), topology.agent_queue(RAW, (), "classic")):
            self._channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
            for exchange, key in queue.bindings:
                self._channel.queue_bind(queue.name, exchange, key)

    def _ready(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def _is_consumed(self, queue: str) -> bool:
        try:
            return bool(self._channel.queue_declare(queue, passive=True).method.consumer_count)
        except ChannelClosedByBroker:  # not declared yet
            self._channel = self._channel.connection.channel()
            return False


def of_raw_pikas(rounds: Sequence[Round]) -> float:
    """The agent's rate by raw pika's just before and just after it; the median of its rounds."""
    ratios = [2 * rounds[n].rate / (rounds[n - 1].rate + rounds[n + 1].rate) for n in range(1, len(rounds), 2)]
    return statistics.median(ratios)


def shown(rounds: Sequence[Round]) -> Table:
    """A table for people."""
    table = frame.table("orders/s", "µs of its processor time each", of="through one agent's queue")
    for each in rounds:
        table.add_row(each.what, f"{each.rate:,.0f}", f"{each.used:.0f}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 when it isn't as fast as wanted."""
    parser = frame.options("throughput", __doc__)
    parser.add_argument("--orders", type=int, default=ORDERS, help="in each of the rounds")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    wanted = parser.parse_args(arguments)
    with frame.stage() as (guard, folder):
        bench, busy = Bench(guard, folder), Busy()
        names = [RAW, *[name for _ in range(wanted.rounds) for name in (AGENT, RAW)]]
        rounds = [bench.round(name, wanted.orders) for name in names]
        share = busy.share()
        bench.close()
    ratio = of_raw_pikas(rounds)
    ok = ratio >= WANTED
    said = f"Thwart : raw pika, median: {ratio:.2f}; wanted {WANTED}; {'reached' if ok else 'NOT REACHED'}"
    found = {"ok": ok, "ratio": ratio, "rounds": rounds}
    frame.tell(found, share, shown(rounds), said, as_json=wanted.json)
    return int(not ok)


if __name__ == "__main__":
    sys.exit(main())
