"""A writer of failed logins, one attacker after another, and the instant just before the line that is one too many."""

import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from tests.stage.auth_log import address

FAILURES = 5  # that the demo's rule 5712 fires on; fail2ban gets the same
PAUSE = (0.02, 0.06)  # s: no two attacks in step with anything that happens by the clock


class Attackers:
    """Appends to a log as a syslog daemon does: one `write` for what belongs together. Each attacker attacks once."""

    def __init__(self, log: Path) -> None:
        self._file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        self._chance = random.Random(1)
        self._next = 0

    def attack(self) -> tuple[str, float]:
        """The next one attacks; its address, and the instant (Unix seconds) just before its last line was written."""
        source = self.first_failures()
        time.sleep(self._chance.uniform(*PAUSE))  # what has been written so far is read and counted meanwhile
        return source, self.write([source])

    def first_failures(self) -> str:
        """The next attacker's address, one failure short of a block."""
        source = address(self._next)
        self._next += 1
        self.write([source] * (FAILURES - 1))
        return source

    def write(self, sources: list[str]) -> float:
        """One failure of each, in one write; the instant just before it."""
        lines = "".join(map(self._failure, sources)).encode()
        at = time.time()
        os.write(self._file, lines)
        return at

    def _failure(self, source: str) -> str:
        pid, port = self._chance.randrange(1_000, 99_999), self._chance.randrange(1_024, 65_536)
        what = f"Failed password for invalid user admin from {source} port {port} ssh2"
        return f"{datetime.now(UTC).isoformat()} web1 sshd[{pid}]: {what}\n"

    def __enter__(self) -> "Attackers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)
