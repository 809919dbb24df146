"""`scripts/torture`: load, kills, cuts and repeats on a whole fleet, and what the judge says about it afterwards.

From the seed come every story with its addresses, timeouts and pauses, every daemon's lives, every cut and every
repeat, each actor's from a stream of its own. What a seed can't bring back is whom the machine lets run when, and so
the instruction at which a kill strikes: run it again, more than once.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import msgspec
from msgspec import Struct

from shared import log
from shared.errors import ThwartError
from shared.settings import LogSettings
from tests.stage.guard import Guard
from tests.torture import plan
from tests.torture.a_fleet import AS_IT_SHIPS, Fleet, names
from tests.torture.broken import BUILDS
from tests.torture.case import LATE
from tests.torture.evidence import doubts, gather
from tests.torture.havoc import Havoc, Signs, victims
from tests.torture.history import Asked, History
from tests.torture.load import Load
from tests.torture.report import Figures, Report, show
from tests.torture.verdict import findings
from tests.waiting import wait_for

KILLS, FULL = 200, 1_000
PER_MINUTE = 110  # kills, about, with three agents
TOLD = 60.0  # s that the last stories may take: each is about half of that long
QUIET = 90.0  # s that all may take to be said once nobody is killed any more
PROGRESS = 5.0  # s between two lines


class Wanted(Struct, frozen=True, kw_only=True):
    """The options."""

    seed: int
    kills: int
    agents: int
    rate: float  # stories a second
    build: str
    keep: Path | None  # where everything is put when something is wrong

    def again(self) -> str:
        """The command that does it again."""
        more = [f"--rate {self.rate:g}"] if self.rate != RATE else []
        more += [f"--build {self.build}"] if self.build != AS_IT_SHIPS else []
        return " ".join(
            ["scripts/torture", f"--seed {self.seed}", f"--kills {self.kills}", f"--agents {self.agents}", *more]
        )


RATE = 3.0


class Torture:
    """One run. `close` ends what its guard doesn't."""

    def __init__(self, guard: Guard, folder: Path, wanted: Wanted, say: Callable[[str], None]) -> None:
        self._wanted, self._folder, self._say, self._began = wanted, folder, say, time.monotonic()
        self._fleet = Fleet(guard, folder, wanted.agents, wanted.build)

    def run(self) -> Report:
        """Everything, to the verdict. Raises ThwartError, AssertionError, with the daemons' last words."""
        wanted, fleet = self._wanted, self._fleet
        fleet.start()
        agents = names(wanted.agents)
        load = Load(fleet, wanted.seed, plan.stories(wanted.seed, agents, wanted.rate), plan.echoes(wanted.seed))
        some = victims(fleet, Signs(fleet.judge), wanted.seed, wanted.kills)
        havoc = Havoc(fleet, load, some, plan.cuts(wanted.seed, [*agents, "manager1"]))
        load.start()
        havoc.start()
        self._tell(load, havoc, lambda: havoc.busy)
        havoc.stop()
        self._say("every daemon is up and nothing is cut off any more; waiting for the last stories")
        load.finish(TOLD)
        history, took = self._quiet(load, havoc)
        if wrong := findings(history):
            self.keep(history)
        return Report(
            seed=wanted.seed,
            build=wanted.build,
            again=wanted.again(),
            took=time.monotonic() - self._began,
            settled=took,
            figures=_figures(history, load, havoc),
            findings=tuple(wrong),
            ended=tuple(havoc.ended),
            doubts=tuple(doubts(fleet, history)),
        )

    def close(self) -> None:
        """Ends the broker and the judge's ear."""
        self._fleet.close()

    def keep(self, history: History) -> None:
        """Puts what the judge went by, and all that the daemons wrote, where it stays. Does nothing unless wanted."""
        kept = self._wanted.keep
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            (kept / "history.msgpack").write_bytes(msgspec.msgpack.encode(history))
            but = shutil.ignore_patterns("broker", "control")  # a socket can't be copied
            shutil.copytree(self._folder, kept, dirs_exist_ok=True, ignore=but)

    def last_words(self) -> dict[str, str]:
        """What each daemon said last."""
        return self._fleet.last_words()

    def _tell(self, load: Load, havoc: Havoc, going_on: Callable[[], bool]) -> None:
        """A line every few seconds, until it is over."""
        while going_on():
            end = time.monotonic() + PROGRESS
            wait_for(lambda end=end: time.monotonic() > end or not going_on(), 2 * PROGRESS)
            kills = ", ".join(f"{kind} {havoc.kills[kind]}" for kind in ("agent", "manager", "broker"))
            down = sorted(havoc.down.copy()) + ([f"{havoc.cut_off} (cut off)"] if havoc.cut_off else [])
            self._say(
                f"{load.told} stories, {len(load.asked)} orders; {havoc.kills.total()} kills ({kills}), "
                f"{havoc.cuts_made} cuts; away: {', '.join(down) or 'nobody'}"
            )

    def _quiet(self, load: Load, havoc: Havoc) -> tuple[History, float]:
        """Returns when there is nothing left to be said, or when that has taken too long; and how long it took."""
        since = time.monotonic()
        lifted = {each for asked in load.asked for each in asked.order.lifts}
        ends = max((_own_end(asked) for asked in load.asked if asked.order.id not in lifted), default=0.0)
        wait_for(lambda: time.time() > ends + LATE, plan.LONGEST + 60.0)
        while True:
            history = gather(self._fleet, load.asked, havoc.away)
            open_ones = [each for each in findings(history) if each.column == "unanswered"]
            took = time.monotonic() - since
            if not open_ones or took > QUIET:
                return history, took
            self._say(f"{len(open_ones)} things are still to be said, {open_ones[0].words} for one")
            again = time.monotonic() + PROGRESS
            wait_for(lambda again=again: time.monotonic() > again, 2 * PROGRESS)


def _own_end(asked: Asked) -> float:
    """When it is over by itself; 0 for what stays."""
    order = asked.order
    return order.expires_at if order.expires_at is not None and (order.timeout or 0) < plan.STAYING else 0.0


def _figures(history: History, load: Load, havoc: Havoc) -> Figures:
    pairs = {(answer.order_id, answer.agent_id) for answer in history.answers}
    return Figures(
        stories=load.told,
        orders=len(history.asked),
        expected=sum(len(asked.agents) for asked in history.asked),
        answers=len(pairs),
        ends=len({(end.order_id, end.agent_id) for end in history.ends}),
        repeated=load.repeated,
        kills=dict(havoc.kills),
        cuts=havoc.cuts_made,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 when nothing is wrong, 1 when something is, 2 for wrong options, 130 when interrupted."""
    wanted, as_json = _arguments(arguments)
    log.configure(LogSettings(level="error", format="text"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {words}", file=sys.stderr if as_json else sys.stdout, flush=True)

    say(f"seed {wanted.seed}: {wanted.kills} kills on {wanted.agents} agents, a manager and a broker; {wanted.build}")
    with Guard() as guard:
        torture = Torture(guard, Path(tempfile.mkdtemp(prefix="thwart-torture-")), wanted, say)
        try:
            report = torture.run()
        except (ThwartError, AssertionError) as error:
            for name, words in torture.last_words().items():
                print(f"{name}: {words}", file=sys.stderr)
            print(f"the run could not be done: {error}\nagain: {wanted.again()}", file=sys.stderr)
            return 1
        finally:
            torture.close()
    if as_json:
        print(json.dumps(report.as_json()))
    show(report, to_error=as_json)
    return int(not report.ok)


def _interrupt(number: int, _: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # once is enough, and what follows is cleaning up
    raise SystemExit(128 + number)


def _arguments(arguments: Sequence[str] | None) -> tuple[Wanted, bool]:
    parser = argparse.ArgumentParser(prog="scripts/torture", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help=f"{FULL} kills instead of {KILLS}")
    parser.add_argument("--seed", type=int, help="do again what this one does; by default it is drawn, and printed")
    parser.add_argument("--kills", type=int, help="so many, instead of what --full says")
    parser.add_argument("--minutes", type=float, help=f"as many kills as fit, about: {PER_MINUTE} a minute")
    parser.add_argument("--agents", type=int, default=3, help="on a host of its own each (default: 3)")
    parser.add_argument("--rate", type=float, default=RATE, help=f"stories a second (default: {RATE:g})")
    parser.add_argument("--build", choices=sorted(BUILDS), default=AS_IT_SHIPS, help="agents that break the promise")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="put logs and journals there if something is wrong")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")
    given = parser.parse_args(arguments)
    kills = given.kills or round((given.minutes or 0) * PER_MINUTE) or (FULL if given.full else KILLS)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    if not (1 <= given.agents <= 25 and kills >= 3 and given.rate > 0):
        parser.error("at least one agent and at most 25, three kills, and some stories")
    wanted = Wanted(seed=seed, kills=kills, agents=given.agents, rate=given.rate, build=given.build, keep=given.keep)
    return wanted, given.output == "json"


if __name__ == "__main__":
    sys.exit(main())
