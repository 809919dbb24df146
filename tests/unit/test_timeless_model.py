"""Journal and executor on a host that keeps no time, as iptables and accounts don't: what is in force stays so until it
is reverted.
"""

from collections.abc import Mapping, Sequence

from hypothesis import HealthCheck, settings

from agent.actions.action import Effect, Result
from tests.stage.fake_action import FakeAction
from tests.unit.an_agent_model import BRIEF, Machine


class Timeless(FakeAction):
    """Knows what, and not until when."""

    exact = False

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        results = super().apply(effects)
        self._ends = dict.fromkeys(self._ends)
        return results

    def tamper(self, ends: Mapping[str, float | None]) -> None:
        super().tamper(dict.fromkeys(ends))


class OnDisk(Timeless):
    """As accounts and files are: a reboot ends nothing."""

    def flush(self) -> None:
        pass


class TimelessMachine(Machine):
    """The model's ends are compared with what is in force, right after each turn."""

    action = Timeless

    def agree_on_the_host(self) -> None:
        found = self.host.in_force().keys()
        wanted = {host: end - self.now for host, end in self.model.in_force().items()}
        assert found <= wanted.keys()
        assert {host for host, left in wanted.items() if left > BRIEF} <= found
        moved = self.host.metrics.registry.get_sample_value("thwart_repairs_total", {"found": "moved"})
        assert not moved, "where no end is there is none to be moved"


class OnDiskMachine(TimelessMachine):
    """The same."""

    action = OnDisk


LIMITS = settings(
    max_examples=15, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TimelessMachine.TestCase.settings = OnDiskMachine.TestCase.settings = LIMITS
TestTimeless, TestOnDisk = TimelessMachine.TestCase, OnDiskMachine.TestCase
