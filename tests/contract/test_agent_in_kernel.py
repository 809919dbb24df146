"""The agent's journal and executor on a real kernel, against the model: it holds exactly what the model says."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec.structs import replace

from agent.actions.action import Effect, Result
from agent.actions.firewall_drop import sets
from agent.actions.firewall_drop.sets import Wanted
from agent.actions.tools.places import place_of
from tests.contract.subject import InKernel
from tests.unit.a_host import HostClock
from tests.unit.an_agent_model import Machine

LIMITS = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
SLOWLY = 1_000.0  # seconds of the kernel's in one of the test's, so that none passes while a test is at work


class SlowKernel:
    """The real action, in a kernel whose time passes only when the test's clock is moved: then somebody else shortens
    every timeout. Seconds are the test's.
    """

    def __init__(self, subject: InKernel, clock: HostClock) -> None:
        self._subject, self._real = subject, subject.action
        self.name, self.backend = self._real.name, self._real.backend
        self.network, self.exact = self._real.network, self._real.exact
        self.key, self.revert, self.prepare, self.moved = (
            self._real.key,
            self._real.revert,
            self._real.prepare,
            self._real.moved,
        )
        clock.when_passed = self._pass
        subject.flush()

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self._real.apply([replace(each, left=_slow(each.left)) for each in effects])

    def inspect(self) -> dict[str, float | None]:
        return {key: left and left / SLOWLY for key, left in self._real.inspect().items()}

    def flush(self) -> None:
        self.tamper({})

    def tamper(self, left: Mapping[str, float | None]) -> None:
        """What is in force is this and nothing else, by somebody else's hand."""
        self._subject.flush()
        places: Wanted = {place_of(key): _slow(each) for key, each in left.items()}
        self._subject.outside(sets.declared({place.set for place in places}) + sets.put(places))

    def _pass(self, seconds: float) -> None:
        left = {key: each and each / SLOWLY - seconds for key, each in self._subject.seen().items()}
        self.tamper({key: each for key, each in left.items() if each is None or each > 0})


@pytest.mark.root
def test_the_kernel_holds_exactly_what_the_model_says(in_kernel: InKernel) -> None:
    """Orders, extensions, lifts, ends, crashes, reboots, lost journals, flushes and a catch-up, in any order."""
    machine = type("InKernelMachine", (Machine,), {"action": lambda clock: SlowKernel(in_kernel, clock)})
    run_state_machine_as_test(machine, settings=LIMITS)


def _slow(left: float | None) -> float | None:
    return None if left is None else left * SLOWLY
