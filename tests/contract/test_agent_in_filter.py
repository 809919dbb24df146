"""The agent's journal and executor on ipset and iptables in a real kernel, against the model."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from agent.actions.action import Effect
from agent.actions.firewall_drop.ipset import Ipset
from agent.actions.firewall_drop.iptables import Iptables
from tests.contract.in_filter import InFilter, programs_of, skip_without_legacy
from tests.stage.network import Host
from tests.unit.test_timeless_model import TimelessMachine

LIMITS = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class Tampered:
    """The action, and somebody else who has a hand in its chains and sets. The kernel's time is not the test's: what
    is in force is compared, and not until when.
    """

    def __init__(self, subject: InFilter) -> None:
        self._subject, action = subject, subject.action
        self.name, self.backend, self.network, self.exact = action.name, action.backend, action.network, action.exact
        self.key, self.prepare, self.moved = action.key, action.prepare, action.moved
        self.apply, self.revert, self.inspect = action.apply, action.revert, action.inspect
        subject.flush()

    def flush(self) -> None:
        self._subject.flush()

    def tamper(self, left: Mapping[str, float | None]) -> None:
        """What is in force is this and nothing else."""
        self._subject.flush()
        somebody = self._subject.made(self._subject.tools)
        somebody.apply([Effect(key=key, target=key) for key in left])
        somebody.close()


@pytest.mark.full
@pytest.mark.root
@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("make", [Iptables, Ipset])
def test_the_kernel_holds_what_the_model_says(
    web: Host, make: type[Iptables | Ipset], variant: str, tmp_path: Path
) -> None:
    """Orders, extensions, lifts, ends, crashes, reboots, lost journals, flushes and a catch-up, in any order."""
    if variant == "legacy":
        skip_without_legacy(web)
    subject = InFilter(web, make, programs_of(variant, tmp_path / "programs"), every=0.0)
    machine = type("InFilterMachine", (TimelessMachine,), {"action": lambda clock: Tampered(subject)})
    run_state_machine_as_test(machine, settings=LIMITS)
    subject.close()
