"""Log batches into the ledger: a full disk delays and loses nothing, and one bad line or alert spoils no other."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from manager.broadcast import Broadcast
from manager.chronicle import Chronicle
from manager.correlation import Correlator, load, shipped
from manager.dispatch import Dispatch
from manager.ledger import positions
from manager.metrics import Metrics
from manager.responses.verdict import Verdict
from manager.sources.agent_logs import AgentLogs
from manager.sources.correlator_thread import CorrelatorThread, Positions
from shared import codec
from shared.broker import Delivery
from shared.messages import Cursor, LogBatch, LogLine
from shared.targets import Allowlist
from shared.topology import MANAGER_LOGS
from tests.unit.a_manager import ATTACKER, START, a_manager
from tests.waiting import eventually


class Deliveries:
    """What a consumer is to its reader: batches that were put in, and a note of what was acked."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Delivery] = asyncio.Queue()
        self.acked: list[int] = []

    def put(self, tag: int, batch: LogBatch) -> None:
        self._waiting.put_nowait(
            Delivery(
                body=codec.encode(batch),
                exchange="thwart.logs",
                routing_key=f"log.{batch.agent_id}",
                kind="log",
                message_id="",
                reason="",
                redelivered=False,
                queue=MANAGER_LOGS,
                tag=tag,
                connection=1,
            )
        )

    async def batch(self, queue: str, limit: int) -> list[Delivery]:
        return [await self._waiting.get()]

    def ack_through(self, delivery: Delivery) -> None:
        self.acked.append(delivery.tag)


class Nobody:
    """Takes what it is given: nothing is dead-lettered here."""

    async def sift(self, deliveries, kinds):
        return [(each, codec.decode(each.body, LogBatch)) for each in deliveries]


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


@asynccontextmanager
async def reading(manager, deliveries, *, judge=None):
    rules = load([shipped()])
    thread = CorrelatorThread(Correlator(rules), manager.store.run_now(positions.load), answered=rules.rules)
    dispatch = manager.dispatch if judge is None else _dispatch(manager, judge)
    metrics = Metrics()
    logs = AgentLogs(
        deliveries, thread, dispatch, Nobody(), Chronicle(metrics, manager.clock, Broadcast(manager.clock)), metrics
    )
    task = asyncio.create_task(logs.run())
    try:
        yield metrics
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        thread.close()


async def test_a_full_disk_delays_and_counts_nothing_twice(manager):
    """While the ledger can't be written nothing is acked; then the same lines make the one alert that they make."""
    await manager.hear("web1")
    deliveries = Deliveries()
    _full(manager, True)
    with capture_logs() as logs:
        async with reading(manager, deliveries) as metrics:
            deliveries.put(1, _attack(0, 8))
            await eventually(lambda: [each for each in logs if each.get("action") == "store_retry"])
            assert "full" in logs[0]["error"]
            assert deliveries.acked == []
            _full(manager, False)
            await eventually(lambda: deliveries.acked == [1])
            deliveries.put(2, _attack(0, 8))
            deliveries.put(3, _attack(8, 7))
            await eventually(lambda: deliveries.acked == [1, 2, 3])
            assert metrics.lines._value.get() == 15
    assert _fired(manager) == 1


async def test_an_alert_that_can_not_be_taken_spoils_no_other(manager):
    """A judge that breaks on one alert leaves that one out: the others are stored, and the batch is acked."""
    deliveries = Deliveries()
    async with reading(manager, deliveries, judge=_breaks_on_the_third):
        deliveries.put(1, _attack(0, 5))
        await eventually(lambda: deliveries.acked == [1])
    assert sorted(_offsets(manager)) == [0, 100, 300, 400]


async def test_a_line_that_breaks_a_rule_spoils_no_other(manager, monkeypatch):
    """A line on which correlation fails is skipped; those after it count."""
    feed = Correlator.feed

    def breaks(self, line):
        if line.offset == 100:
            raise RecursionError("a pattern went too deep")
        return feed(self, line)

    monkeypatch.setattr(Correlator, "feed", breaks)
    deliveries = Deliveries()
    async with reading(manager, deliveries):
        deliveries.put(1, _attack(0, 3))
        await eventually(lambda: deliveries.acked == [1])
    assert sorted(_offsets(manager)) == [0, 200]


def test_lines_out_of_order_in_their_batch_are_not_taken():
    """A batch that goes back in its file counts no line twice."""
    positions = Positions([])
    batch = _attack(0, 3)
    lines = (*batch.lines, *batch.lines)
    twice = LogBatch(
        agent_id="web1", source=batch.source, lines=lines, collected_at=batch.collected_at, cursor=batch.cursor
    )
    fresh = positions.fresh(twice)
    assert [line.offset for line in fresh] == [0, 100, 200]
    assert [each.offset for each in positions.after(twice, fresh)] == [200]


def test_only_so_many_files_are_kept_in_mind(monkeypatch):
    """Whoever makes up files can't fill the memory: the one that was read least lately goes."""
    monkeypatch.setattr("manager.sources.correlator_thread.FILES", 2)
    positions = Positions([])
    for name in ("a", "b", "a", "c"):
        batch = _attack(0, 1, file=name)
        positions.after(batch, positions.fresh(batch))
    assert [len(positions.fresh(_attack(0, 1, file=name))) for name in ("a", "b", "c")] == [0, 1, 0]


def _attack(first: int, count: int, file: str = "1:2") -> LogBatch:
    lines = tuple(
        LogLine(
            text=f"Dec 10 06:55:46 web1 sshd[24200]: Failed password for invalid user u from {ATTACKER} port {n} ssh2",
            at=START,
            offset=100 * n,
        )
        for n in range(first, first + count)
    )
    cursor = Cursor(file=file, first=100 * first, next=100 * (first + count))
    return LogBatch(agent_id="web1", source="/var/log/auth.log", lines=lines, collected_at=START, cursor=cursor)


def _full(manager, full: bool) -> None:
    """SQLite's own limit: what would grow the file fails as it does on a full disk."""
    manager.store.run_now(
        lambda c: c.execute("PRAGMA max_page_count = 1" if full else "PRAGMA max_page_count = 100000")
    )


def _fired(manager) -> int:
    (count,) = manager.store.run_now(
        lambda c: c.execute("SELECT count(*) FROM alerts WHERE rule_id = '5712'").fetchone()
    )
    return count


def _offsets(manager) -> list[int]:
    rows = manager.store.run_now(lambda c: c.execute("SELECT body FROM alerts").fetchall())
    return [100 * int(row["body"].decode().partition(" port ")[2].partition(" ")[0]) for row in rows]


def _breaks_on_the_third(sighting, members, standing, now) -> Verdict:
    if " port 2 " in sighting.alert.full_log:
        raise ZeroDivisionError
    return Verdict()


def _dispatch(manager, judge) -> Dispatch:
    return Dispatch(
        manager.store,
        manager.roster,
        manager.clock,
        judge=judge,
        allowlist=Allowlist,
        answer_within=10.0,
        max_alert_age=600.0,
        wake=lambda: None,
    )
