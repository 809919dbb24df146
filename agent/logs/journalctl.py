"""`journalctl` as a child that goes on printing: the only way to the systemd journal here, and no library to keep up.

The rule it keeps: what it prints is read in bounded pieces and only as fast as it is shipped, and the child ends with
whoever reads it. What merely runs and ends is `agent/actions/tools/process.py`'s.
"""

import asyncio
import os
from asyncio import StreamReader
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

from agent.logs import lines
from shared.errors import JournalUnreadable

PIECE = lines.MAX_BATCH  # bytes read at once
LONGEST = 2 * 1024 * 1024  # bytes of an entry: a line of 64 KiB takes a quarter of it, however it is written
DYING = 1.0  # s
WORDS = 500  # of what it complains about, the last


class Journalctl:
    """A running child. `lines` ends with it; `words` is what it said of that."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._printed, self._complaints = cast(StreamReader, process.stdout), cast(StreamReader, process.stderr)
        self._words = b""
        self.too_long = 0  # entries left out because they are over LONGEST

    async def lines(self) -> AsyncIterator[list[bytes]]:
        """Whole lines, as many as there are."""
        rest, skipping = b"", False
        while piece := await self._printed.read(PIECE):
            *whole, rest = (rest + piece).split(b"\n")
            if whole and skipping:
                del whole[0]
                skipping = False
            if len(rest) > LONGEST:
                self.too_long += not skipping
                skipping = True
            if skipping:
                rest = b""
            if whole:
                yield whole

    async def hear(self) -> None:
        """Keeps the end of what it complains about."""
        while piece := await self._complaints.read(PIECE):
            self._words = (self._words + piece)[-WORDS:]

    async def words(self) -> str:
        """How it ended, for people. It has closed its output, and ends here if it hasn't."""
        # not killed at once: Popen would reap what has ended by itself, and asyncio couldn't tell how
        try:
            code = await asyncio.wait_for(self._process.wait(), DYING)
        except TimeoutError:
            self._process.kill()
            code = await self._process.wait()
        text = " ".join(self._words.decode(errors="replace").split())
        return f"journalctl ended ({code}){': ' if text else ''}{text}"


@asynccontextmanager
async def following(arguments: Sequence[str]) -> AsyncIterator[Journalctl]:
    """`journalctl ARGUMENTS`, ended with the block. Raises JournalUnreadable when it can't be started."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC"}
    try:
        process = await asyncio.create_subprocess_exec(
            "journalctl", *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True
        )
    except OSError as error:
        raise JournalUnreadable(
            f"journalctl can't be started: {error.strerror}; install systemd, or follow a file by its path"
        ) from error
    child = Journalctl(process)
    hearing = asyncio.create_task(child.hear())
    try:
        yield child
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        hearing.cancel()
