"""From the log line to the element in the kernel: one attacker at a time, through a real broker, manager and agent.

"Written" is stamped just before the writer's `write`; "in the kernel" is when the kernel announced it, from outside.
The disk, the kernel alone, and fail2ban on the same kind of file are timed in the same run: take the ratios.
"""

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from rich.table import Table

from agent.actions.action import Effect
from agent.actions.firewall_drop.nftables import Nftables
from shared.store import reading
from tests.bench import frame
from tests.bench.attack import Attackers
from tests.bench.attacked import Attacked
from tests.bench.busy import Busy
from tests.bench.fail2ban import SERVER, Fail2ban
from tests.stage.auth_log import address
from tests.stage.guard import Guard
from tests.stage.kernel import KernelWatch
from tests.waiting import wait_for

MEDIAN, P99 = 10.0, 50.0  # ms, wanted
ATTACKERS, THEIR_ATTACKERS = 300, 20
WARM_UP, THEIR_WARM_UP = 20, 3
PATIENCE = 20.0  # s for one block
STAMPS = """
SELECT o.target, o.issued_at, a.received_at, a.settled_at
FROM orders o JOIN order_agents a ON a.order_id = o.id WHERE a.status = 'applied'
"""


class Figures(Struct, frozen=True, kw_only=True):
    """Milliseconds of many tries."""

    what: str
    count: int
    p50: float
    p90: float
    p99: float
    longest: float


class Seen(Struct, frozen=True, kw_only=True):
    """One attacker: when the last line was about to be written, and when the kernel had the element."""

    source: str
    written: float
    blocked: float


class Bench:
    """Thwart, and what it is compared with, one after the other on the same machine."""

    def __init__(self, guard: Guard, folder: Path) -> None:
        self._guard, self._folder = guard, folder
        self._attacked = Attacked(guard, folder)
        self.busy: dict[str, float] = {}  # see busy.Busy.share: while Thwart was measured
        self._disk = os.open(folder / "disk", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def thwart(self, count: int) -> list[Figures]:
        """The whole way and its parts."""
        watch, ledger = self._attacked.start(), self._attacked.ledger
        with Attackers(self._attacked.log) as attackers:
            one_at_a_time(attackers, watch, WARM_UP)
            busy, seen, syncs = Busy(), [], []
            for _ in range(count):
                seen += one_at_a_time(attackers, watch, 1)
                syncs.append(self._sync())
            self.busy = busy.share()
        wait_for(lambda: len(stamps(ledger)) == WARM_UP + count)
        self._attacked.stop()
        disk = figures("disk meanwhile: fdatasync of 4 KiB", syncs)
        return [in_all("Thwart: line → in the kernel", seen), *hops(seen, stamps(ledger)), disk]

    def fail2ban(self, count: int) -> list[Figures]:
        """Nothing where it isn't installed."""
        if SERVER is None:
            return []
        auth_log, host = self._folder / "fail2ban.auth.log", self._attacked.beside
        auth_log.touch()
        watch = KernelWatch(self._guard, host)
        server = Fail2ban(self._guard, host, self._folder / "fail2ban", auth_log)
        with Attackers(auth_log) as attackers:
            one_at_a_time(attackers, watch, THEIR_WARM_UP)
            seen = one_at_a_time(attackers, watch, count)
        server.kill()
        return [in_all(f"fail2ban ({server.backend}): line → in the kernel", seen)]

    def kernel(self, count: int) -> Figures:
        """What the agent does for one block, without anything around it."""

        def upserts() -> Figures:
            action, sources = Nftables(), map(address, range(count))
            action.prepare()
            return timed("kernel: one upsert, in process", lambda: upsert(action, next(sources)), count)

        return self._attacked.elsewhere.call(upserts)

    def _sync(self) -> float:
        """Milliseconds of a small append and its `fdatasync`, in the folder of the ledger and the journal."""
        os.write(self._disk, b"x" * 4_096)
        begin = time.perf_counter()
        os.fdatasync(self._disk)
        return (time.perf_counter() - begin) * 1_000


def upsert(action: Nftables, source: str) -> None:
    """Blocks `source`. Raises AssertionError."""
    (result,) = action.apply([Effect(key=source, target=source, arguments=(), left=600.0)])
    assert not result.problem, result.problem


def one_at_a_time(attackers: Attackers, watch: KernelWatch, count: int) -> list[Seen]:
    """Each attacks once the one before is in the kernel. Raises AssertionError."""
    return [_seen(*attackers.attack(), watch) for _ in range(count)]


def _seen(source: str, written: float, watch: KernelWatch) -> Seen:
    blocked = wait_for(lambda: watch.taken(source, written), PATIENCE)
    return Seen(source=source, written=written, blocked=blocked or 0.0)


def stamps(ledger: Path) -> dict[str, tuple[float, float, float]]:
    """By target: when its order was given, when the agent had taken it, when the agent had carried it out."""
    with reading(ledger) as connection:
        return {target: tuple(instants) for target, *instants in connection.execute(STAMPS)}


def hops(seen: Sequence[Seen], stamped: dict[str, tuple[float, float, float]]) -> list[Figures]:
    """The way's parts, by the stamps that the daemons themselves have made."""
    issued, received, settled = ([stamped[each.source][n] for each in seen] for n in range(3))
    written, blocked = [each.written for each in seen], [each.blocked for each in seen]
    parts = (
        ("  line → order: collector, broker, rules", written, issued),
        ("  order → taken: ledger, broker, inbox", issued, received),
        ("  taken → in the kernel: journal, nftables", received, blocked),
        ("  in the kernel → answer stamped", blocked, settled),
    )
    return [figures(what, spans(begins, ends)) for what, begins, ends in parts]


def in_all(what: str, seen: Sequence[Seen]) -> Figures:
    """The whole way."""
    return figures(what, spans([each.written for each in seen], [each.blocked for each in seen]))


def spans(begins: Sequence[float], ends: Sequence[float]) -> list[float]:
    """In milliseconds."""
    return [(end - begin) * 1_000 for begin, end in zip(begins, ends, strict=True)]


def timed(what: str, work: Callable[[], None], count: int) -> Figures:
    """Does `work` again and again, with pauses as between two blocks, because what was just done is fast again."""
    chance, taken = random.Random(1), []
    for _ in range(count):
        time.sleep(chance.uniform(0.0, 0.02))
        begin = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begin) * 1_000)
    return figures(what, taken)


def figures(what: str, taken: Sequence[float]) -> Figures:
    """Of spans in milliseconds, at least two."""
    hundredths = statistics.quantiles(taken, n=100, method="inclusive")
    p50, p90, p99 = (hundredths[n - 1] for n in (50, 90, 99))
    return Figures(what=what, count=len(taken), p50=p50, p90=p90, p99=p99, longest=max(taken))


def shown(rows: Sequence[Figures]) -> Table:
    """A table for people."""
    table = frame.table("tries", "p50", "p90", "p99", "longest", of="milliseconds")
    for row in rows:
        spans_ = (f"{span:.2f}" for span in (row.p50, row.p90, row.p99, row.longest))
        table.add_row(row.what, str(row.count), *spans_)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 when it isn't as fast as wanted."""
    parser = frame.options("latency", __doc__)
    parser.add_argument("--attackers", type=int, default=ATTACKERS, help="how many, one after the other")
    wanted = parser.parse_args(arguments)
    with frame.stage() as (guard, folder):
        bench = Bench(guard, folder)
        ours = bench.thwart(wanted.attackers)
        beside = [bench.kernel(wanted.attackers)]
        theirs = bench.fail2ban(THEIR_ATTACKERS)
    return tell(ours, [*beside, *theirs], bench.busy, as_json=wanted.json)


def tell(ours: Sequence[Figures], others: Sequence[Figures], busy: dict[str, float], *, as_json: bool) -> int:
    """Prints it all; the exit status. The last of `others` is fail2ban's, where it is installed."""
    reached = ours[0].p50 <= MEDIAN and ours[0].p99 <= P99
    ratio = others[-1].p50 / ours[0].p50 if SERVER else None
    rows = [*ours, *others]
    said = (
        f"fail2ban : Thwart, medians: {ratio:.0f}" if ratio else "fail2ban isn't installed",
        f"wanted: p50 {MEDIAN:.0f} ms, p99 {P99:.0f} ms; {'reached' if reached else 'NOT REACHED'}",
    )
    found = {"ok": reached, "ratio": ratio, "ms": rows}
    frame.tell(found, busy, shown(rows), *said, as_json=as_json)
    return int(not reached)


if __name__ == "__main__":
    sys.exit(main())
