"""One `all` order to a thousand agents until the last answer is in the ledger, beside raw pika over the same queues.

The agents are simulated (`tests.stage.simulated_agents`), with real connections, queues, heartbeats and answers. In
turns with the orders a raw publisher sends one message to the same queues, over the same connections; what answers it
is a pika callback that decodes nothing, and a raw consumer counts. Nothing is written down for it: take the ratio.
"""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from rich.table import Table

from tests.bench import frame
from tests.bench.busy import Busy
from tests.bench.crowd import Crowd, heard, say
from tests.bench.usage import seconds_used
from tests.stage.guard import Guard

WANTED = 1.5  # times what raw pika takes
AGENTS, PROCESSES = 1_000, 2
ROUNDS, WARM = 15, 3  # of each; those before the first that counts
RAW = (sys.executable, "-m", "tests.stage.raw_round")


class Round(Struct, frozen=True, kw_only=True):
    """From the request, or the publish, until the last answer is in the ledger, or counted."""

    what: str
    took: float  # s
    used: float  # s of processor time, in the manager or the raw process


class Bench:
    """A crowd, and a raw publisher beside the manager."""

    def __init__(self, guard: Guard, folder: Path, agents: int, processes: int) -> None:
        self._crowd = Crowd(guard, folder, agents, processes, raw=True)
        self._crowd.join()
        self._crowd.at_rest()
        words = [self._crowd.secrets.urls("manager")[0], str(agents)]
        self._raw = self._crowd.start([*RAW, *words], folder / "raw.log")
        assert heard(self._raw) == "ready\n"

    def raw(self) -> Round:
        """One message to all, and all that comes back."""
        used = seconds_used(self._raw.pid)
        say(self._raw)
        began, ended = json.loads(heard(self._raw))
        return Round(what="raw pika", took=ended - began, used=seconds_used(self._raw.pid) - used)

    def order(self) -> Round:
        """One order to all, and all answers."""
        used = seconds_used(self._crowd.manager_pid)
        took = self._crowd.one().last
        self._crowd.at_rest()
        return Round(what="Thwart's manager", took=took, used=seconds_used(self._crowd.manager_pid) - used)

    def close(self) -> None:
        """Ends everything; files stay until the guard closes."""
        self._raw.communicate(timeout=60)
        self._crowd.close()


def of_raw_pikas(rounds: Sequence[Round]) -> float:
    """What an order took by what raw pika took just before and just after it; the median."""
    ratios = [2 * rounds[n].took / (rounds[n - 1].took + rounds[n + 1].took) for n in range(1, len(rounds), 2)]
    return statistics.median(ratios)


def shown(rounds: Sequence[Round], agents: int) -> Table:
    """A table for people."""
    names = ("ms, median", "least", "most", "ms of its processor time, mean")
    table = frame.table(*names, of=f"one to {agents:,} agents, all answers")
    for some in (rounds[1::2], rounds[::2]):
        took = [each.took * 1_000 for each in some]
        used = statistics.mean(each.used for each in some) * 1_000
        figures = (statistics.median(took), min(took), max(took), used)
        table.add_row(some[0].what, *(f"{each:,.0f}" for each in figures))
    return table


def measure(agents: int, processes: int, rounds: int) -> tuple[list[Round], dict[str, float]]:
    """Raw rounds with an order between each two; and how busy the machine was, see `busy.Busy.share`."""
    with frame.stage() as (guard, folder):
        bench = Bench(guard, folder, agents, processes)
        for _ in range(WARM):
            bench.raw()
            bench.order()
        busy = Busy()
        took = [bench.raw()]
        for _ in range(rounds):
            took += [bench.order(), bench.raw()]
        share = busy.share()
        bench.close()
    return took, share


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 when it takes longer than wanted."""
    parser = frame.options("fanout", __doc__)
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--processes", type=int, default=PROCESSES, help="that the agents are in")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    wanted = parser.parse_args(arguments)
    rounds, share = measure(wanted.agents, wanted.processes, wanted.rounds)
    ratio = of_raw_pikas(rounds)
    ok = ratio <= WANTED
    said = f"Thwart : raw pika, median: {ratio:.2f}; wanted at most {WANTED}; {'reached' if ok else 'NOT REACHED'}"
    found = {"ok": ok, "ratio": ratio, "rounds": rounds}
    frame.tell(found, share, shown(rounds, wanted.agents), said, as_json=wanted.json)
    return int(not ok)


if __name__ == "__main__":
    sys.exit(main())
