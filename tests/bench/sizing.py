"""What a fleet of so many agents costs broker and manager, how soon all answer, and how soon all are back.

The agents are simulated (`tests.stage.simulated_agents`): each has two connections, a queue, a lock and heartbeats of
its own, by the agent's own code, in a few processes of this machine; nothing is carried out, and nothing of theirs is
written to a disk. Broker (the settings of `deploy/`, RabbitMQ 4.0), manager and ledger are real. All of them share this
machine's processors: with thousands of agents, what is measured of all at once is mostly the time that these take.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, fields

from tests.bench import frame
from tests.bench.busy import Busy
from tests.bench.crowd import Answered, Crowd
from tests.bench.usage import megabytes, seconds_used
from tests.stage.guard import Guard

SIZES = (100, 1_000, 5_000)
BEYOND = 10_000  # agents: extrapolated
PROCESSES = 4  # that the agents are in, and no more than one for each fifty
SETTLE, IDLE = 30.0, 60.0  # s: three and six heartbeats of everybody
ORDERS = 20
BROKER_START = 300.0  # s

CONNECTIONS = "length(rabbit_networking:connections())"
QUEUES = "length(rabbit_amqqueue:list_names())"


class Figures(Struct, frozen=True, kw_only=True):
    """Of a fleet of one size. MB are resident memory; shares are of one processor."""

    agents: int
    connections: int
    queues: int
    join: float  # s until all that started at once are in the roster, with both connections
    broker_memory: float  # MB at rest
    manager_memory: float
    broker_idle: float  # share of a processor while there are heartbeats alone
    manager_idle: float
    agents_idle: float  # all simulated agents together
    answer_p50: float  # s from an `all` order to an answer in the ledger
    answer_p99: float
    last_median: float  # s from the request until the last answer to it can be read in the ledger
    last_most: float
    broker_order: float  # s of processor time for one `all` order and all answers
    manager_order: float
    broker_start: float  # s until it takes connections again, all agents waiting for it
    back: float  # s from then until all agents have both connections
    caught_up: float  # s from then until all have answered an order that was given meanwhile
    broker_most: float  # MB at most, the restart included
    manager_most: float
    repeated: int  # orders that agents got again


class Sizing:
    """One fleet, from its first agent to its restart."""

    def __init__(self, guard: Guard, folder: Path, agents: int, processes: int, idle: float, orders: int) -> None:
        self._agents, self._idle, self._orders = agents, idle, orders
        say(f"{agents:,} agents: a broker and a manager are started")
        self._crowd = Crowd(guard, folder, agents, max(1, min(processes, agents // 50)))

    def measure(self) -> Figures:
        """All of it, in the order in which it is done."""
        crowd, broker, manager = self._crowd, self._crowd.broker, self._crowd.manager_pid
        joined = crowd.join()
        crowd.at_rest()
        say(f"all have joined after {joined:.1f} s; idle for {SETTLE + self._idle:.0f} s")
        time.sleep(SETTLE)
        idle = self._used(lambda: time.sleep(self._idle))
        memory = megabytes(broker.pid), megabytes(manager)
        counts = crowd.count(CONNECTIONS), crowd.count(QUEUES)
        say(f"{counts[0]:,} connections, {counts[1]:,} queues; {self._orders} orders to all")
        answered: list[Answered] = []
        busy = self._used(lambda: answered.extend(self._order() for _ in range(self._orders)))
        took = sorted(span for each in answered for span in each.took)
        say(f"the last answer comes after {statistics.median(each.last for each in answered):.2f} s; a restart")
        most = megabytes(broker.pid, most=True)
        start, back, caught_up = self._restart()
        return Figures(
            agents=self._agents,
            connections=counts[0],
            queues=counts[1],
            join=joined,
            broker_memory=memory[0],
            manager_memory=memory[1],
            broker_idle=idle[0] / self._idle,
            manager_idle=idle[1] / self._idle,
            agents_idle=idle[2] / self._idle,
            answer_p50=took[len(took) // 2],
            answer_p99=took[len(took) * 99 // 100],
            last_median=statistics.median(each.last for each in answered),
            last_most=max(each.last for each in answered),
            broker_order=busy[0] / self._orders,
            manager_order=busy[1] / self._orders,
            broker_start=start,
            back=back,
            caught_up=caught_up,
            broker_most=max(most, megabytes(broker.pid, most=True)),
            manager_most=megabytes(manager, most=True),
            repeated=sum(each.repeated for each in crowd.states()),
        )

    def close(self) -> None:
        """Ends everything; files stay until the guard closes."""
        self._crowd.close()

    def _order(self) -> Answered:
        answered = self._crowd.one()
        self._crowd.at_rest()
        return answered

    def _restart(self) -> tuple[float, float, float]:
        """Seconds of the broker's start; from its end until all are connected, and until all have answered."""
        broker = self._crowd.broker
        broker.stop(within=BROKER_START)
        stopped = time.time()
        order_id = self._crowd.order()
        broker.start(within=BROKER_START)
        up = time.time()
        caught_up = self._crowd.answered(order_id, up).last
        back = self._crowd.all_connected(stopped) - up
        say(f"all back after {back:.1f} s, the order of meanwhile answered after {caught_up:.1f} s")
        self._crowd.at_rest()
        return up - stopped, back, caught_up

    def _used(self, work: Callable[[], None]) -> tuple[float, float, float]:
        """Seconds of processor time that broker, manager and agents use meanwhile."""
        pids = [[self._crowd.broker.pid], [self._crowd.manager_pid], self._crowd.pids]
        before = [_seconds(each) for each in pids]
        work()
        broker, manager, agents = (_seconds(each) - used for each, used in zip(pids, before, strict=True))
        return broker, manager, agents


def _seconds(pids: Iterable[int]) -> float:
    return sum(seconds_used(pid) for pid in pids)


def beyond(less: Figures, more: Figures, agents: int) -> Figures:
    """A straight line through two sizes, for a third that was not measured."""
    share = (agents - less.agents) / (more.agents - less.agents)
    figures = (a + (b - a) * share for a, b in zip(astuple(less), astuple(more), strict=True))
    names = [each.name for each in fields(Figures)]
    return msgspec.convert(
        {name: round(each) if name in COUNTED else each for name, each in zip(names, figures, strict=True)}, Figures
    )


COUNTED = ("agents", "connections", "queues", "repeated")

# What a row of the table says, and what of the figures.
ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("connections / queues", lambda of: f"{of.connections:,} / {of.queues:,}"),
    ("broker: memory at rest / at most", lambda of: f"{of.broker_memory:,.0f} / {of.broker_most:,.0f} MB"),
    ("manager: memory at rest / at most", lambda of: f"{of.manager_memory:,.0f} / {of.manager_most:,.0f} MB"),
    ("processor at rest: broker / manager", lambda of: f"{of.broker_idle:.1%} / {of.manager_idle:.1%}"),
    ("processor time of one `all`: broker / manager", lambda of: f"{of.broker_order:.2f} / {of.manager_order:.2f} s"),
    ("`all` → an answer, p50 / p99", lambda of: f"{of.answer_p50:.2f} / {of.answer_p99:.2f} s"),
    ("`all` → the last answer, median / worst", lambda of: f"{of.last_median:.2f} / {of.last_most:.2f} s"),
    ("everybody joins at once", lambda of: f"{of.join:,.0f} s"),
    ("broker restarts: until it takes connections", lambda of: f"{of.broker_start:.1f} s"),
    ("… until all are back", lambda of: f"+ {of.back:.1f} s"),
    ("… until all have answered an order of meanwhile", lambda of: f"+ {of.caught_up:.1f} s"),
)


def table(some: Sequence[Figures]) -> str:
    """A Markdown table; with two sizes or more the last column is extrapolated from the two largest."""
    columns = [(f"{each.agents:,} agents", each) for each in some]
    if len(some) > 1 and some[-1].agents < BEYOND:
        columns.append((f"{BEYOND:,} (extrapolated)", beyond(*some[-2:], BEYOND)))
    lines = [["", *(head for head, _ in columns)], ["---", *("---:" for _ in columns)]]
    lines += [[what, *(text(of) for _, of in columns)] for what, text in ROWS]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def say(what: str) -> None:
    """Progress, for people."""
    print(f"  {time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def measured(agents: int, processes: int, idle: float, orders: int) -> Figures:
    """A fleet of that size, which is gone after it."""
    with frame.stage() as (guard, folder):
        sizing = Sizing(guard, folder, agents, processes, idle, orders)
        figures = sizing.measure()
        sizing.close()
        return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or an exception when an agent does not join, answer or come back."""
    parser = frame.options("sizing", __doc__)
    parser.add_argument("agents", nargs="*", type=int, default=SIZES, help="one fleet after the other")
    parser.add_argument("--processes", type=int, default=PROCESSES, help="that the agents are in")
    parser.add_argument("--idle", type=float, default=IDLE, help="seconds at rest that are measured")
    parser.add_argument("--orders", type=int, default=ORDERS, help="to all, one after the other")
    wanted = parser.parse_args(arguments)
    busy = Busy()
    some = [measured(each, wanted.processes, wanted.idle, wanted.orders) for each in sorted(wanted.agents)]
    share = busy.share()
    frame.tell({"of": some}, share, f"{table(some)}\n", as_json=wanted.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
