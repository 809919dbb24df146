"""A thousand attackers at once: how long until the kernel drops them all, beside fail2ban with the same lines."""

import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from rich.table import Table

from tests.bench import frame
from tests.bench.attack import FAILURES, Attackers
from tests.bench.attacked import Attacked
from tests.bench.busy import Busy
from tests.bench.fail2ban import SERVER, Fail2ban
from tests.stage.auth_log import address
from tests.stage.guard import Guard
from tests.stage.kernel import KernelWatch, in_force
from tests.stage.network import Host
from tests.waiting import wait_for

ATTACKERS = 1_000
PATIENCE = 60.0  # s


class Blocked(Struct, frozen=True, kw_only=True):
    """Seconds from the first line's `write` until the kernel had the first, half, and all of them."""

    what: str
    attackers: int
    first: float
    half: float
    all: float


def burst(what: str, attackers: Attackers, watch: KernelWatch, host: Host, count: int) -> Blocked:
    """Raises AssertionError when one is not blocked."""
    sources = [address(number) for number in range(count)]
    written = min(attackers.write(sources) for _ in range(FAILURES))
    wait_for(lambda: all(watch.taken(source, written) for source in sources), PATIENCE)
    assert in_force(host) >= set(sources)
    after = sorted((watch.taken(source, written) or 0.0) - written for source in sources)
    return Blocked(what=what, attackers=count, first=after[0], half=after[count // 2], all=after[-1])


def thwart(attacked: Attacked, count: int) -> tuple[Blocked, dict[str, float]]:
    """And how busy the machine was; see `busy.Busy.share`."""
    watch = attacked.start()
    busy = Busy()
    with Attackers(attacked.log) as attackers:
        blocked = burst("Thwart", attackers, watch, attacked.host, count)
    share = busy.share()
    attacked.stop()
    return blocked, share


def fail2ban(guard: Guard, attacked: Attacked, folder: Path, count: int) -> list[Blocked]:
    """Nothing where it isn't installed."""
    if SERVER is None:
        return []
    auth_log = folder / "fail2ban.auth.log"
    auth_log.touch()
    watch = KernelWatch(guard, attacked.beside)
    server = Fail2ban(guard, attacked.beside, folder / "fail2ban", auth_log)
    with Attackers(auth_log) as attackers:
        blocked = burst(f"fail2ban ({server.backend})", attackers, watch, attacked.beside, count)
    server.kill()
    return [blocked]


def shown(rows: Sequence[Blocked]) -> Table:
    """A table for people."""
    table = frame.table("attackers", "first blocked", "half", "all", "blocks/s", of="seconds after the first line")
    for row in rows:
        spans = (f"{span:.3f}" for span in (row.first, row.half, row.all))
        table.add_row(row.what, f"{row.attackers:,}", *spans, f"{row.attackers / row.all:,.0f}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or an exception when somebody is not blocked."""
    parser = frame.options("burst", __doc__)
    parser.add_argument("--attackers", type=int, default=ATTACKERS)
    wanted = parser.parse_args(arguments)
    with frame.stage() as (guard, folder):
        attacked = Attacked(guard, folder)
        ours, busy = thwart(attacked, wanted.attackers)
        theirs = fail2ban(guard, attacked, folder, wanted.attackers)
    rows = [ours, *theirs]
    frame.tell({"s": rows}, busy, shown(rows), as_json=wanted.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
