"""Tools: the programs of the host with which actions change it, run one at a time, each with a time limit.

The rule it keeps: one that hangs holds its caller up once. It is killed, and for a while whoever wants it again is
told at once, so that what other actions have to do goes on.
"""

import shutil
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from msgspec import Struct

from agent.actions.tools.process import PATH, Limits, Programs
from shared.errors import ActionError, ToolHangs

LIMIT = 10.0  # s that a call may take; 10,000 rules take iptables-restore 0.2 s
FIRST_REST, LONGEST_REST = 30.0, 600.0  # s for which one that hung is left alone, longer each time
LONGEST = 64 * 1024 * 1024  # bytes of output: a listing of 100,000 blocks has 10


class Tools(Struct, frozen=True, kw_only=True):
    """Where tools are found, and how they are run."""

    path: str = PATH
    environment: Mapping[str, str] = {}
    limit: float = LIMIT
    clock: Callable[[], float] = time.monotonic


class Rest:
    """For how long what hung is left alone: longer each time, until it does what it should."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rest, self._until = FIRST_REST / 2, float("-inf")

    def left(self) -> float:
        """Seconds of it; none or less when it is over."""
        return self._until - self._clock()

    def begin(self) -> None:
        """It hung."""
        self._rest = min(2 * self._rest, LONGEST_REST)
        self._until = self._clock() + self._rest

    def forget(self) -> None:
        """It didn't."""
        self._rest = FIRST_REST / 2


class Tool:
    """One program, by its name. For one thread."""

    def __init__(self, name: str, tools: Tools) -> None:
        self.name = name
        self._tools = tools
        self._rest = Rest(tools.clock)
        limits = Limits(whole=tools.limit, output=LONGEST)
        self._programs = Programs({**tools.environment, "PATH": tools.path}, limits)

    def find(self) -> Path:
        """Raises ActionError when it isn't there."""
        found = shutil.which(self.name, path=self._tools.path)
        if found is None:
            raise ActionError(f"{self.name}: not found")
        return Path(found)

    def run(self, *arguments: str, said: str = "", good: Collection[int] = (0,)) -> str:
        """Its standard output, once it has ended with one of the `good` exit codes; `said` is its standard input.

        Raises ActionError with its words, and ToolHangs when it didn't end, or did not a moment ago.
        """
        if (left := self._rest.left()) > 0:
            raise ToolHangs(f"{self.name} hangs; it is tried again in {left:.0f} s")
        ended = self._programs.run([str(self.find()), *arguments], said.encode())
        if not ended.in_time:
            self._rest.begin()
            raise ToolHangs(ended.told(f"{self.name} had not ended within {self._tools.limit:g} s"))
        self._rest.forget()
        if ended.code not in good:
            raise ActionError(ended.told(f"{self.name}: {ended.how}"))
        if len(ended.output) >= LONGEST:
            raise ActionError(f"{self.name} printed more than {LONGEST} bytes")
        return ended.output.decode(errors="surrogateescape")

    def stop(self) -> None:
        """Kills what it runs, now and later. From any thread."""
        self._programs.stop()
