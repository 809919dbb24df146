"""What an agent says that it holds and what the ledger says, over whatever happens: else catch-up would never end.

Both sides are real, each on its own SQLite file; the broker between them is two lists.
"""

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, rule

from manager.ledger import owed
from shared.messages import Acknowledgement, Expiry, Order
from tests.unit.a_host import AGENT, AHost, Crash
from tests.unit.a_manager import AManager, blocks_everywhere

HOSTS = st.sampled_from([f"203.0.113.{number}" for number in range(1, 4)])
TIMEOUTS = st.sampled_from([None, 3.0, 61.0, 90.0, 600.0])
SPANS = st.sampled_from([0.5, 2.0, 31.0, 200.0])


class Both(RuleBasedStateMachine):
    """A manager and its one agent, and what is on its way between them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(prefix="thwart-", dir="/dev/shm")
        self.host = AHost(Path(self.folder.name))
        self.manager = AManager(Path(self.folder.name) / "ledger.db", blocks_everywhere)
        self.on_its_way: list[Order] = []
        self.numbers = iter(range(1_000))
        self.run(self.manager.hear(AGENT))

    def teardown(self) -> None:
        self.host.close()
        self.manager.store.close()
        self.loop.close()
        self.folder.cleanup()

    @rule(address=HOSTS, timeout=TIMEOUTS, dry=st.sampled_from([False, False, True]), swiftly=st.booleans())
    def block(self, address: str, timeout: float | None, dry: bool, swiftly: bool) -> None:
        request = {"address": address, "timeout": timeout, "dry_run": dry}
        self.run(self.manager.block(f"b{next(self.numbers)}", **request))
        self.publish(swiftly)

    @rule(address=HOSTS, swiftly=st.booleans())
    def unblock(self, address: str, swiftly: bool) -> None:
        self.run(self.manager.unblock(f"u{next(self.numbers)}", address))
        self.publish(swiftly)

    def publish(self, swiftly: bool) -> None:
        if swiftly:
            self.on_its_way += [order for _, order in self.manager.confirm()]
            self.deliver(reverse=False, twice=False)
            self.turn()

    @rule(reverse=st.booleans(), twice=st.booleans())
    def deliver(self, reverse: bool, twice: bool) -> None:
        """In either order, perhaps twice."""
        self.on_its_way += [order for _, order in self.manager.confirm()]
        some = self.on_its_way[::-1] if reverse else self.on_its_way
        for _ in range(1 + twice):
            self.run(self.host.take(*some))
        self.on_its_way = []

    @rule()
    def turn(self) -> None:
        self.run(self.host.turns())

    @rule(backwards=st.booleans())
    def hear(self, backwards: bool) -> None:
        """Everything that the agent ever said, again."""
        said = self.host.said()
        self.record(said[::-1] if backwards else said)

    @rule(seconds=SPANS)
    def pass_time(self, seconds: float) -> None:
        self.host.clock.pass_(seconds)
        self.manager.clock.passed += seconds

    @rule(seconds=st.sampled_from([-30.0, -2.0, 2.0, 30.0, 3_600.0]))
    def step_the_agents_clock(self, seconds: float) -> None:
        self.host.clock.wall_at += seconds

    @rule()
    def crash_between_host_and_journal(self) -> None:
        self.host.journal.deadly = True
        with suppress(Crash):
            self.run(self.host.turns())
        self.run(self.host.restart())

    @rule(away=SPANS)
    def reboot(self, away: float) -> None:
        self.manager.clock.passed += away
        self.run(self.host.reboot(away))

    @rule(address=HOSTS)
    def lift_by_hand(self, address: str) -> None:
        self.run(self.host.executor.lift(lambda hold: hold.target == address))

    @rule()
    def catch_up(self) -> None:
        """As after a heartbeat that shows a new queue."""
        now = self.manager.clock.wall()
        self.on_its_way += self.manager.store.run_now(lambda connection: owed.in_force(connection, AGENT, now))

    @rule()
    def they_agree_once_all_is_said(self) -> None:
        """Whatever is still on its way: what was said is about what is held."""
        self.run(self.host.turns())
        self.record(self.host.said())
        at = self.host.clock.wall()
        held = self.manager.store.run_now(lambda connection: owed.held(connection, AGENT, at))
        assert self.run(self.host.journal.holds(at)) == held.holds

    def record(self, said: list[Acknowledgement | Expiry]) -> None:
        self.manager.catch_up.recorded(self.run(self.manager.ledger.record(said)))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)


Both.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TestBoth = Both.TestCase
