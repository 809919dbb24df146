"""How many lines a second `thwart correlate` reads, beside what fail2ban's regex tool does with the same file.

The machine may be busy with other things, so a bare loop over the same lines is timed in between: take the ratios.
"""

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from tests.stage.auth_log import auth_log

LINES = 200_000
RUNS = 5
WANTED = 80_000  # lines/s, process start included
THWART = Path(sys.executable).with_name("thwart")


def main() -> None:
    """Prints the figures; exits with 1 when they are not what is wanted."""
    with tempfile.TemporaryDirectory(prefix="thwart-bench-") as folder:
        log = Path(folder) / "auth.log"
        log.write_text("\n".join(auth_log(LINES)) + "\n")
        print(f"correlation: {LINES:,} lines of auth.log, half of them attacks; lines/s, process start included\n")
        alerts = correlated(log)  # a first run, so that the file and the program are in memory
        bare, ours = [], []
        for _ in range(RUNS):
            bare.append(rate(lambda: bare_loop(log)))
            ours.append(rate(lambda: correlated(log)))
        told("a bare loop: find, one expression, a window each", bare)
        told("thwart correlate --summary", ours)
        theirs = fail2ban(log)
    median = statistics.median(ours)
    print(f"\nalerts: {', '.join(f'{count:,} of {rule}' for rule, count in alerts.items())}")
    print(f"thwart : bare loop       {median / statistics.median(bare):>8.2f}")
    if theirs:
        print(f"thwart : fail2ban-regex  {median / theirs:>8.2f}")
    print(f"wanted: {WANTED:,}; {'reached' if median >= WANTED else 'NOT REACHED'}")
    sys.exit(0 if median >= WANTED else 1)


def correlated(log: Path) -> dict[str, int]:
    """One run; how often each rule fired."""
    command = [THWART, "correlate", "--summary", "-o", "json", "--year", "2025", log]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["lines"] == LINES
    return found["rules"]


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


def rate(work) -> float:
    """Lines/s of a piece of work that reads the whole log."""
    begin = time.perf_counter()
    work()
    return LINES / (time.perf_counter() - begin)


def told(what: str, rates: list[float]) -> None:
    """One row: median, smallest, largest."""
    spread = f"  ({min(rates):,.0f} to {max(rates):,.0f})" if len(rates) > 1 else ""
    print(f"{what:<50}{statistics.median(rates):>12,.0f}{spread}")


if __name__ == "__main__":
    main()
