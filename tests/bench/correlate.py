"""How many lines a second `thwart correlate` and the manager's own path read, beside fail2ban's regex tool.

Both go by the full shipped rules and a local file that overwrites one of them. The manager's path is what it does with
a batch off the queue, on one core: bytes to lines, to what fires, to alerts. The machine may be busy with other things:
CPU time is what counts, and a bare loop over the same lines is timed in between. `--profile` prints what the manager's
path spends its time on.
"""

import argparse
import asyncio
import cProfile
import json
import pstats
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from manager import garbage
from manager.correlation import Correlator, load, shipped
from manager.responses import configuration
from manager.responses.responses import Responses
from manager.sources.correlator_thread import CorrelatorThread
from shared import codec, messages
from shared.messages import Cursor, LogBatch
from tests.stage.auth_log import auth_log
from tests.unit.a_manager import START, AManager, a_manager

LINES = 200_000
BATCH = 1_000  # lines
ORDERED = 4_685  # alerts among them that are responded to
AT_ONCE = 50  # batches, as the manager takes them
RUNS = 5
WANTED = 200_000  # lines/s of CPU time on one core, for `thwart correlate` process start included
THWART = Path(sys.executable).with_name("thwart")
OVERRIDE = """<group name="local">
  <rule id="5712" level="10" frequency="5" timeframe="120" overwrite="yes">
    <if_matched_sid>5710</if_matched_sid>
    <same_source_ip/>
    <description>ssh: names that do not exist, tried from $(srcip)</description>
  </rule>
</group>
"""
OSSEC_CONF = """<ossec_config><active-response>
  <command>firewall-drop</command><location>local</location><rules_id>5712,5763</rules_id><timeout>600</timeout>
</active-response></ossec_config>
"""
ANSWERED = ("5712", "5763")  # the rules that it responds to


def main() -> None:
    """Prints the figures; exits with 1 when they are not what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true", help="print where the manager's path spends its time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thwart-bench-") as folder:
        rules = Path(folder) / "local_rules.xml"
        rules.write_text(OVERRIDE)
        if chosen.profile:
            profile(rules)
            return
        log = Path(folder) / "auth.log"
        log.write_text("\n".join(auth_log(LINES)) + "\n")
        reached = compared(log, rules)
    sys.exit(0 if reached else 1)


def compared(log: Path, rules: Path) -> bool:
    """All of them on the same lines; whether ours are as fast as wanted."""
    print(f"correlation: {LINES:,} lines of auth.log, half of them attacks; lines/s of CPU time\n")
    alerts = correlated(log, rules)  # a first run, so that the file and the program are in memory
    bodies = list(batches())
    bare, ours, managers, whole = [], [], [], []
    for _ in range(RUNS):
        bare.append(rate(lambda: bare_loop(log)))
        ours.append(rate(lambda: correlated(log, rules)))
        managers.append(managers_rate(bodies, rules))
        whole.append(rate_with_ledger(bodies, rules))
    told("a bare loop: find, one expression, a window each", bare)
    told("thwart correlate --summary, process start included", ours)
    told("the manager: batches off the queue to alerts", managers)
    told(f"the same, and {ORDERED} responses judged and in the ledger", whole)
    theirs = fail2ban(log)
    slowest = min(statistics.median(ours), statistics.median(managers))
    print(f"\nalerts: {', '.join(f'{count:,} of {rule}' for rule, count in alerts.items())}")
    for name, rates in (("thwart correlate", ours), ("the manager", managers)):
        print(f"{name} : bare loop       {statistics.median(rates) / statistics.median(bare):>8.2f}")
    if theirs:
        print(f"thwart correlate : fail2ban-regex  {statistics.median(ours) / theirs:>8.2f}")
    print(f"wanted: {WANTED:,}; {'reached' if slowest >= WANTED else 'NOT REACHED'}")
    return slowest >= WANTED


def correlated(log: Path, rules: Path) -> dict[str, int]:
    """One run; how often each rule fired."""
    command = [THWART, "correlate", "--summary", "-o", "json", "--year", "2025", "--rules", rules, log]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["lines"] == LINES
    return found["rules"]


def batches() -> Iterator[bytes]:
    """The same lines as an agent ships them."""
    lines, offset = auth_log(LINES), 0
    while texts := list(islice(lines, BATCH)):
        read = []
        for text in texts:
            read.append(messages.LogLine(text=text, at=START + offset // 1_000, offset=offset))
            offset += len(text) + 1
        cursor = Cursor(file="1:2", first=read[0].offset, next=offset)
        yield codec.encode(
            LogBatch(agent_id="web1", source="/var/log/auth.log", lines=tuple(read), collected_at=0.0, cursor=cursor)
        )


def managers_rate(bodies: list[bytes], rules: Path) -> float:
    """Lines/s from bytes to alerts, with the rules loaded and nothing counted yet."""
    thread = CorrelatorThread(Correlator(load([shipped(), rules])), (), answered=ANSWERED)
    garbage.settle()
    try:
        return rate(lambda: through_the_manager(thread, bodies))
    finally:
        thread.close()


def through_the_manager(thread: CorrelatorThread, bodies: list[bytes]) -> int:
    """What the manager does with batches but for the ledger; how many alerts came of them."""
    alerts = lines = 0
    for first in range(0, len(bodies), AT_ONCE):
        reading = thread.take([codec.decode(body, LogBatch) for body in bodies[first : first + AT_ONCE]])
        alerts, lines = alerts + len(reading.sightings), lines + reading.lines
    assert lines == LINES
    return alerts


def rate_with_ledger(bodies: list[bytes], rules: Path) -> float:
    """The same, with responses and the transaction that writes them down, which is on another thread."""
    with tempfile.TemporaryDirectory(prefix="thwart-bench-") as folder:
        conf = Path(folder) / "ossec.conf"
        conf.write_text(OSSEC_CONF)
        ruleset = load([shipped(), rules])
        responses = Responses(configuration.load(conf), ruleset)
        thread = CorrelatorThread(Correlator(ruleset), (), answered=responses.answered())
        with a_manager(Path(folder) / "ledger.db", responses.judge) as manager:
            asyncio.run(manager.hear("web1"))
            garbage.settle()
            return rate(lambda: asyncio.run(into_the_ledger(thread, manager, bodies)))


async def into_the_ledger(thread: CorrelatorThread, manager: AManager, bodies: list[bytes]) -> None:
    """What the manager does with batches, up to the ack."""
    found = 0
    for first in range(0, len(bodies), AT_ONCE):
        reading = thread.take([codec.decode(body, LogBatch) for body in bodies[first : first + AT_ONCE]])
        found += len(await manager.dispatch.take(reading.sightings, reading.positions))
    thread.close()
    assert found == ORDERED, found


def profile(rules: Path) -> None:
    """The functions that the manager's path spends most in."""
    thread, bodies = CorrelatorThread(Correlator(load([shipped(), rules])), (), answered=ANSWERED), list(batches())
    with cProfile.Profile() as profiler:
        through_the_manager(thread, bodies)
    thread.close()
    pstats.Stats(profiler).strip_dirs().sort_stats("tottime").print_stats(20)


def bare_loop(log: Path) -> None:
    """The least that any such program does: find the failures, take their addresses, count each in a window."""
    taken = re.compile(r"Failed password for .* from (\S+) port")
    windows: dict[str, deque[int]] = {}
    with log.open() as lines:
        for number, line in enumerate(lines):
            if "Failed password" in line and (found := taken.search(line)):
                window = windows.setdefault(found[1], deque(maxlen=8))
                window.append(number)


def fail2ban(log: Path) -> float | None:
    """Lines/s of fail2ban-regex with its own filter for sshd, one run; None where it isn't installed."""
    program = shutil.which("fail2ban-regex")
    if program is None:
        print("fail2ban-regex isn't installed")
        return None
    command = [program, str(log), "sshd"]
    theirs = rate(lambda: subprocess.run(command, capture_output=True, check=True))
    told("fail2ban-regex, one run", [theirs])
    return theirs


def rate(work: Callable[[], object]) -> float:
    """Lines/s of a piece of work that reads the whole log, by the CPU time of this process and its children."""
    begin = cpu_time()
    work()
    return LINES / (cpu_time() - begin)


def cpu_time() -> float:
    """Seconds, user's and the kernel's."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def told(what: str, rates: list[float]) -> None:
    """One row: median, smallest, largest."""
    spread = f"  ({min(rates):,.0f} to {max(rates):,.0f})" if len(rates) > 1 else ""
    print(f"{what:<50}{statistics.median(rates):>12,.0f}{spread}")


if __name__ == "__main__":
    main()
