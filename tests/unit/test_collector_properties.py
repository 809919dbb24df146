"""Whatever happens to a log, its broker and its collector, in any order: each line arrives once, in its order."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.a_collector import AHost, AManager
from tests.waiting import eventually

LONG = "x" * 2_000


class AnyInterleaving(RuleBasedStateMachine):
    """One host, one log; `written` is what a manager must have in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(prefix="thwart-")
        self.written: list[str] = []
        self.running = False

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    @initialize(from_start=st.booleans())
    def begin(self, from_start: bool) -> None:
        self.host = AHost(Path(self.folder.name), self.make_manager(), from_start=from_start)
        self.host.log.touch()
        self.start()
        self.append(1, "")
        self.arrive()

    def make_manager(self) -> AManager:
        async def make() -> AManager:
            return AManager()

        self.manager: AManager = self.do(make())
        return self.manager

    @rule(count=st.integers(1, 5), prefix=st.sampled_from(["", LONG]))
    def append(self, count: int, prefix: str) -> None:
        lines = [f"{prefix}{len(self.written) + number}" for number in range(count)]
        self.written += lines
        self.host.write(*lines)

    @rule()
    def append_in_two_writes(self) -> None:
        line = f"in halves {len(self.written)}"
        self.written.append(line)
        self.host.append(line[:4].encode())
        self.do(asyncio.sleep(0))
        self.host.append(line[4:].encode() + b"\n")

    @precondition(lambda self: self.host.log.exists())
    @rule(late=st.booleans())
    def rotate(self, late: bool) -> None:
        rotated = self.host.rotate()
        if late:  # who writes has not noticed yet
            line = f"late {len(self.written)}"
            self.written.append(line)
            self.host.write(line, to=rotated)

    @precondition(lambda self: self.host.log.exists())
    @rule()
    def copy_and_truncate(self) -> None:
        self.do(self.notice())
        self.host.copy_and_truncate()

    @precondition(lambda self: self.host.log.exists())
    @rule(unlink=st.booleans())
    def truncate_or_delete_what_was_shipped(self, unlink: bool) -> None:
        self.arrive()
        if unlink:
            self.host.log.unlink()
        else:
            self.host.log.open("wb").close()
        self.append(1, "")  # a second truncation before the first was noticed could not be told from it
        self.arrive()

    @precondition(lambda self: self.running)
    @rule(killed=st.booleans())
    def stop(self, killed: bool) -> None:
        self.do(self.host.stop(killed=killed))
        self.running = False

    @precondition(lambda self: not self.running)
    @rule()
    def start(self) -> None:
        self.do(self.host.start())
        self.running = True

    @rule()
    def hold_confirms_back(self) -> None:
        self.manager.stop_confirming()

    @rule()
    def confirm(self) -> None:
        self.manager.confirm()
        self.turn()

    @rule(after_taking=st.booleans())
    def lose_the_connection(self, after_taking: bool) -> None:
        self.manager.lose(after_taking=after_taking)
        self.turn()

    @rule()
    def turn(self) -> None:
        """Lets the collector do something, but not finish."""
        self.do(asyncio.sleep(0.001))

    @invariant()
    def nothing_came_twice(self) -> None:
        if hasattr(self, "manager"):
            assert self.manager.texts == self.written[: len(self.manager.texts)]

    async def notice(self) -> None:
        """A file that was truncated before anything was read of it can't be told from one that began empty."""
        if self.running:
            await eventually(self.host.has_begun)

    def arrive(self) -> None:
        """Everything that was written gets through."""
        if not self.running:
            self.start()
        self.manager.confirm()
        self.do(self.host.shipped(self.written))

    def teardown(self) -> None:
        try:
            if hasattr(self, "host"):
                self.append(1, "")
                self.arrive()
        finally:
            if self.running:
                self.stop(killed=False)
            self.loop.close()
            self.folder.cleanup()


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
