"""A real systemd journal in a folder, written by systemd-journal-remote, and a collector that follows it."""

import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent import collector
from agent.collector import Collector
from shared.clock import SystemClock
from shared.settings import FollowedLog
from tests.running import running
from tests.unit.a_collector import AManager, MortalStore
from tests.waiting import eventually

WRITER = Path("/lib/systemd/systemd-journal-remote")
BOOTS = ("a" * 32, "b" * 32)


class AJournal:
    """Entries go to `folder`/system.journal, until `rotate`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._ticked = 0
        self.boot = BOOTS[0]

    def log(self, *messages: str | bytes, at: int | None = None, **fields: str) -> None:
        """One entry for each message, of the program sshd unless `fields` say otherwise."""
        export = b"".join(self._entry(message, at, fields) for message in messages)
        command = [str(WRITER), "--output", str(self.folder / "system.journal"), "-"]
        subprocess.run(command, input=export, capture_output=True, check=True, timeout=20)

    def rotate(self) -> Path:
        """As journald does: the file is archived under another name, and the next one begins."""
        archived = self.folder / f"system@{self._tick():x}.journal"
        (self.folder / "system.journal").rename(archived)
        return archived

    def _tick(self) -> int:
        """Now, in microseconds, and later than any before."""
        self._ticked = max(self._ticked + 1, time.time_ns() // 1_000)
        return self._ticked

    def _entry(self, message: str | bytes, at: int | None, fields: dict[str, str]) -> bytes:
        tick = self._tick()
        text = {
            "__REALTIME_TIMESTAMP": str(at or tick),
            "__MONOTONIC_TIMESTAMP": str(tick % 10**12),
            "_BOOT_ID": self.boot,
            "_HOSTNAME": "web1",
            "_PID": "42",
            "SYSLOG_IDENTIFIER": "sshd",
            **fields,
        }
        raw = message if isinstance(message, bytes) else message.encode()
        head = "".join(f"{name}={value}\n" for name, value in text.items()).encode()
        return head + b"MESSAGE\n" + len(raw).to_bytes(8, "little") + raw + b"\n\n"


class AFollower:
    """A collector of this journal, ended as SIGTERM or as SIGKILL would, and begun again."""

    def __init__(self, folder: Path, manager: AManager, *, from_start: bool = True) -> None:
        self._wanted = FollowedLog(journal=True, directory=str(folder / "journal"), from_start=from_start)
        self.manager, self._database = manager, folder / "collector.db"

    @asynccontextmanager
    async def running(self, *, killed: bool = False) -> AsyncIterator[Collector]:
        """With `killed` what was not written down before it ended never is."""
        store = MortalStore(self._database, collector.SCHEMA)
        one = Collector([self._wanted], "web1", store, self.manager, SystemClock())
        async with running(one.run()):
            await one.ready.wait()
            yield one
            store.dead = killed
        store.close()

    async def shipped(self, *messages: str) -> None:
        """Waits until exactly these came to the manager, in order."""
        await eventually(lambda: len(self.messages()) >= len(messages), 20)
        assert self.messages() == list(messages)

    def messages(self) -> list[str]:
        """What came to the manager, without its header."""
        return [text.partition("]: ")[2] for text in self.manager.texts]
