"""What carries blocks out: the time that the 10th, 1,000th and 10,000th takes to come and to go, beside one fork for
each address, and how many packets get through with 10,000 in force.

Each is on a host of its own, called from one thread, as the agent's executor does. The packets are UDP over loopback,
from somebody who isn't blocked: each passes what every packet passes.
"""

import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from subprocess import CalledProcessError

from msgspec import Struct
from msgspec.structs import replace
from rich.table import Table

from agent.actions.action import Action, Effect, Result
from shared.errors import ThwartError
from tests.bench import frame
from tests.bench.backend_stage import Stage
from tests.bench.busy import Busy
from tests.bench.one_fork import OneFork
from tests.stage.network import Host

SIZES = (10, 1_000, 10_000)
SLICE = 1_000  # blocks in one call, as of the executor
TRIES = 15
LASTS = 3_600.0  # s
ROUNDS, SENDING = 5, 0.2  # s of packets to each in every round, by turns
THROUGH = 0.7  # of the packets that pass an empty firewall, for those that look an address up
SLOWER = 2.0  # one more at the most blocks, by what it takes at the fewest
LOOK_UP = ("nftables", "ipset, -nft", "ipset, -legacy")


class Pace(Struct, frozen=True, kw_only=True):
    """How long one more takes where there are `size` with it, in ms: the shortest of all tries, because what else the
    machine does only adds to it.
    """

    size: int
    add: float
    remove: float


class Figures(Struct, frozen=True, kw_only=True):
    """Of one backend; of one that can't be tried here only `why_not`."""

    backend: str
    why_not: str = ""
    ours: list[Pace] = []
    one_fork: list[Pace] = []
    in_batches: float = 0.0  # ms a block, of those that came a thousand at a time
    packets: float = 0.0  # a second


def measure(stage: Stage, sizes: Sequence[int], only: Sequence[str]) -> list[Figures]:
    """Of each backend; the first is of a host with nothing in force."""
    hosts, found = [stage.host()], [Figures(backend="none")]
    for name, make in stage.backends().items():
        if only and name.partition(",")[0] not in only:
            continue
        host, beside = stage.host(), stage.host()
        try:
            (action, _), (_, stock) = make(host), make(beside)
            ours, in_batches = host.call(partial(blocked, action, sizes))
            forks = beside.call(partial(forked, stock, sizes))
        except (ThwartError, OSError, CalledProcessError, AssertionError) as error:
            found.append(Figures(backend=name, why_not=str(error)))
        else:
            found.append(Figures(backend=name, ours=ours, one_fork=forks, in_batches=in_batches))
            hosts.append(host)
    rates = iter(packets(hosts))
    return [each if each.why_not else replace(each, packets=next(rates)) for each in found]


def blocked(make: Callable[[], Action], sizes: Sequence[int]) -> tuple[list[Pace], float]:
    """By the action, in this thread; all of the last size but one stay in force."""
    action = make()
    action.prepare()
    paces: list[Pace] = []
    filled, took = 0, 0.0
    for size in sizes:
        for start in range(filled, size - 1, SLICE):
            took += _timed(action.apply, addresses(start, min(start + SLICE, size - 1)))
        filled = size - 1
        times = [(_timed(action.apply, [one]), _timed(action.revert, [one])) for one in _more()]
        if len(action.inspect()) != filled:
            raise ThwartError(f"{action.backend} has {len(action.inspect())} in force instead of {filled}")
        paces.append(_pace(size, times))
    return paces, took / max(filled, 1)


def forked(stock: OneFork, sizes: Sequence[int]) -> list[Pace]:
    """By one fork for each address, in this thread."""
    paces: list[Pace] = []
    filled = 0
    for command, text in stock.begin:
        stock.run(command, text)
    for size in (each for each in sizes if each <= stock.most):
        for command, text in stock.fill(addresses(filled, size - 1)):
            stock.run(command, text)
        filled = size - 1
        paces.append(_pace(size, [(stock.take(stock.add(one)), stock.take(stock.remove(one))) for one in _more()]))
    return paces


def packets(hosts: Sequence[Host]) -> list[float]:
    """A second, on each host, one at a time: the most of several rounds."""
    rounds = [[host.call(_send) for host in hosts] for _ in range(ROUNDS)]
    return [max(rates) for rates in zip(*rounds, strict=True)]


def _send() -> float:
    with socket.socket(type=socket.SOCK_DGRAM) as to, socket.socket(type=socket.SOCK_DGRAM) as sender:
        to.bind(("127.0.0.1", 0))  # nobody reads: what a full buffer doesn't take has passed the firewall before
        sender.connect(to.getsockname())
        sent, end = 0, time.perf_counter() + SENDING
        while time.perf_counter() < end:
            for _ in range(100):
                sender.send(b"x")
            sent += 100
    return sent / SENDING


def addresses(start: int, end: int) -> list[str]:
    """Of those that stay."""
    return [f"10.{each >> 16}.{each >> 8 & 255}.{each & 255}" for each in range(start, end)]


def _pace(size: int, times: Sequence[tuple[float, float]]) -> Pace:
    adds, removes = zip(*times, strict=True)
    return Pace(size=size, add=min(adds), remove=min(removes))


def _more() -> list[str]:
    """Those that come and go."""
    return [f"198.18.0.{number + 1}" for number in range(TRIES)]


def _timed(how: Callable[[Sequence[Effect]], list[Result]], some: Sequence[str]) -> float:
    """ms. Raises ThwartError when it isn't done."""
    effects = [Effect(key=each, target=each, left=LASTS) for each in some]
    began = time.perf_counter()
    results = how(effects)
    took = (time.perf_counter() - began) * 1_000
    problem = next((each.problem for each in results if each.problem), "")
    if problem:
        raise ThwartError(problem)
    return took


def missed(found: Sequence[Figures]) -> list[str]:
    """What isn't as wanted of the backends that look an address up."""
    wrong: list[str] = []
    none = found[0].packets
    for each in found:
        if each.backend not in LOOK_UP or each.why_not:
            continue
        if each.packets < THROUGH * none:
            wrong.append(f"{each.backend}: {each.packets / none:.0%} of the packets get through")
        if each.ours[-1].add > SLOWER * each.ours[0].add:
            wrong.append(f"{each.backend}: one more is slower with many")
    return wrong


def shown(found: Sequence[Figures], sizes: Sequence[int]) -> Table:
    """A table for people."""
    table = frame.table(*(f"{size:,}th" for size in sizes), "in batches", "kpkt/s", of="+ and - one, ms")
    for each in found:
        batch = f"{each.in_batches:.3f}" if each.ours else ""
        table.add_row(each.backend, *_cells(each.ours, sizes), batch, _rate(each))
        if each.one_fork:
            table.add_row("  one fork each", *_cells(each.one_fork, sizes), style="dim")
    return table


def lacking(found: Sequence[Figures]) -> list[str]:
    """What can't be measured on this machine."""
    return [f"{each.backend} not here: {each.why_not}" for each in found if each.why_not]


def _cells(paces: Sequence[Pace], sizes: Sequence[int]) -> list[str]:
    by_size = {each.size: f"{each.add:.2f} {each.remove:.2f}" for each in paces}
    return [by_size.get(size, "") for size in sizes]


def _rate(each: Figures) -> str:
    return "" if each.why_not else f"{each.packets / 1_000:.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 when it isn't as wanted."""
    parser = frame.options("backends", (__doc__ or "").partition(":")[0])
    parser.add_argument("--blocks", type=int, nargs="+", default=SIZES, help="fewest first")
    parser.add_argument("--only", nargs="+", default=(), help="nftables, ipset, …")
    wanted = parser.parse_args(arguments)
    with frame.stage() as (guard, folder):
        busy = Busy()
        found = measure(Stage(guard, folder), wanted.blocks, wanted.only)
        share = busy.share()
    wrong = missed(found)
    said = f"NOT REACHED: {'; '.join(wrong)}" if wrong else "all as wanted"
    figures = {"ok": not wrong, "missed": wrong, "of": found}
    frame.tell(figures, share, shown(found, wanted.blocks), *lacking(found), said, as_json=wanted.json)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
