"""Answers a second into the ledger, beside raw pika that writes as many rows to a bare SQLite file.

Both get the same answers from the same publisher, in turns, and ack them once they are on the disk. Raw pika reads
nothing in them, merges nothing and tells nobody: take the ratio.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pika
from msgspec import Struct
from rich.table import Table

from manager.ledger import orders, schema
from manager.ledger.orders import Audience
from shared import topology
from shared.messages import Order
from shared.store import Store, reading
from tests.bench import frame
from tests.bench.busy import Busy
from tests.bench.usage import seconds_used
from tests.integration.a_manager_daemon import RunningManager
from tests.stage.auth_log import address
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.private_broker import Login, PrivateBroker
from tests.stage.process import Process
from tests.stage.raw_answers import agent, order_id
from tests.waiting import wait_for

ANSWERS, ROUNDS = 10_000, 3
LASTS = 3_600.0  # s
RAW = "raw"  # where the manager's answers have `acknowledgement` in their key; and a queue
PATIENCE = 120.0  # s for a round
HERE = (sys.executable, "-m", "tests.stage.raw_answers")


class Round(Struct, frozen=True, kw_only=True):
    """From the first answer's publish until the last is on the disk."""

    what: str
    rate: float  # answers/s
    used: float  # µs of processor time for each answer, in the process that keeps it


class Bench:
    """A broker, a manager whose ledger has orders that were sent, and a raw keeper."""

    def __init__(self, guard: Guard, folder: Path, answers: int) -> None:
        self._guard, self._folder = guard, folder
        self._node = PrivateBroker(folder / "broker")
        self._node.start()
        broker = Broker(self._node, Login(name="thwart", password="", url=self._node.url))
        (folder / "manager").mkdir()
        self._manager = RunningManager(guard, broker, folder / "manager")
        self.ledger, self._file = folder / "manager" / "state" / "ledger.db", folder / "raw.db"
        given(self.ledger, (_order(number) for number in range(answers)))
        self._manager.start()
        wait_for(lambda: self._manager.get("/v1/health")["broker"] == "connected", PATIENCE)
        self._declare()
        self._raw = Process(guard, [*HERE, "keep", self._node.url, RAW, str(self._file)], folder / "raw.log")
        wait_for(self._file.exists, PATIENCE)
        self._next = {"acknowledgement": 0, RAW: 0}

    def round(self, word: str, answers: int) -> Round:
        """All of `answers` to one of the two."""
        of_manager = word != RAW
        assert self._manager.process is not None
        process = self._manager.process if of_manager else self._raw
        kept = self._kept(self.ledger, "history") if of_manager else self._kept(self._file, "said")
        feeder = self._feeder(word, answers)
        before, used = kept(), seconds_used(process.pid)
        assert feeder.stdin is not None
        feeder.stdin.write("go\n")
        feeder.stdin.flush()
        wait_for(lambda: kept() >= before + answers, PATIENCE)
        ended = time.time()
        used = seconds_used(process.pid) - used
        began, _ = json.loads(feeder.communicate(timeout=PATIENCE)[0])
        what = "Thwart's manager" if of_manager else "raw pika, bare SQLite"
        return Round(what=what, rate=answers / (ended - began), used=used / answers * 1_000_000)

    def close(self) -> None:
        """Ends everything; files stay until the guard closes."""
        self._manager.stop()
        self._raw.kill()
        self._node.close()

    def _feeder(self, word: str, answers: int) -> "subprocess.Popen[str]":
        words = ["feed", self._node.url, word, str(self._next[word]), str(answers)]
        self._next[word] += answers  # nothing is answered twice
        feeder = subprocess.Popen(
            [*HERE, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._guard.session(feeder.pid)
        assert feeder.stdout is not None
        assert feeder.stdout.readline() == "ready\n"
        return feeder

    def _declare(self) -> None:
        with pika.BlockingConnection(pika.URLParameters(self._node.url)) as connection:
            channel = connection.channel()
            channel.queue_declare(RAW, durable=True, arguments={"x-queue-type": "classic"})
            channel.queue_bind(RAW, topology.EVENTS, f"{RAW}.*")

    def _kept(self, path: Path, table: str) -> Callable[[], int]:
        """How many rows it has; nothing is ever deleted here, and a count would read them all."""

        def rows() -> int:
            with reading(path) as connection:
                return connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0

        return rows


def given(ledger: Path, some: Iterable[Order]) -> None:
    """Writes a ledger as a manager leaves it that has sent these orders."""
    ledger.parent.mkdir(parents=True)
    store = Store(ledger, schema.SCHEMA)

    def work(connection) -> None:
        for order in some:
            orders.put(connection, order, order.id, Audience(known=order.agents))
        connection.execute("DELETE FROM outbox")
        connection.execute("UPDATE orders SET sent_at = issued_at")

    store.run_now(work)
    store.close()


def _order(number: int) -> Order:
    now = time.time()
    return Order(
        id=order_id(number),
        operation="add",
        action="firewall-drop",
        location="agent",
        agents=(agent(number),),
        target=address(number),
        timeout=LASTS,
        issued_at=now,
        deadline=now + LASTS,
        expires_at=now + LASTS,
    )


def shown(rounds: Sequence[Round]) -> Table:
    """A table for people."""
    table = frame.table("answers/s", "µs of its processor time each", of="answers, each for another order")
    for each in rounds:
        table.add_row(each.what, f"{each.rate:,.0f}", f"{each.used:.0f}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or an exception when the ledger doesn't get them all."""
    parser = frame.options("answers", __doc__)
    parser.add_argument("--answers", type=int, default=ANSWERS, help="in each of the rounds")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    wanted = parser.parse_args(arguments)
    with frame.stage() as (guard, folder):
        bench, busy = Bench(guard, folder, wanted.answers * wanted.rounds), Busy()
        words = (RAW, "acknowledgement") * wanted.rounds
        rounds = [bench.round(word, wanted.answers) for word in words]
        share = busy.share()
        bench.close()
    ratio = statistics.median(one.rate for one in rounds[1::2]) / statistics.median(one.rate for one in rounds[::2])
    said = f"Thwart : raw pika with bare SQLite, medians: {ratio:.2f}"
    frame.tell({"ratio": ratio, "rounds": rounds}, share, shown(rounds), said, as_json=wanted.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
