"""Whatever is added, extended, shortened, lifted, left to end or flushed, in whatever order: the kernel has that."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from agent.actions.action import Effect
from tests.contract.subject import InKernel

HOSTS = st.sampled_from(
    [f"203.0.113.{number}" for number in range(1, 5)] + [f"2001:db8::{number}" for number in range(1, 5)]
)
BRIEF = 0.02  # s: may have ended at any moment
TIMES = st.sampled_from([BRIEF, 60.0, 3_600.0, 90_000.0, None])
LIMITS = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.root
def test_the_kernel_has_what_was_ordered_last(in_kernel: InKernel) -> None:
    """No order of calls leaves a block behind, ends one early or makes one permanent."""
    run_state_machine_as_test(lambda: _Firewall(in_kernel), settings=LIMITS)  # type: ignore[no-untyped-call]


class _Firewall(RuleBasedStateMachine):
    def __init__(self, subject: InKernel) -> None:
        super().__init__()
        self.subject = subject
        self.subject.flush()
        self.expected: dict[str, float | None] = {}

    @rule(wanted=st.dictionaries(HOSTS, TIMES, min_size=1))
    def apply(self, wanted: dict[str, float | None]) -> None:
        results = self.subject.action.apply([Effect(key=key, target=key, left=left) for key, left in wanted.items()])
        assert not [result for result in results if result.problem]
        self.expected |= wanted

    @rule(hosts=st.lists(HOSTS, min_size=1))
    def lift(self, hosts: list[str]) -> None:
        results = self.subject.action.revert([Effect(key=key, target=key) for key in hosts])
        assert not [result for result in results if result.problem]
        for key in hosts:
            self.expected.pop(key, None)

    @rule()
    def let_the_brief_ones_end(self) -> None:
        for key in [key for key, left in self.expected.items() if left == BRIEF]:
            self.subject.ends(key, BRIEF)
            del self.expected[key]

    @rule()
    def flush(self) -> None:
        self.subject.flush()
        self.expected = {}

    @rule()
    def restart(self) -> None:
        self.subject.action.prepare()

    @invariant()
    def the_kernel_has_it(self) -> None:
        found: dict[str, Any] = self.subject.action.inspect()
        lasting = {key: left for key, left in self.expected.items() if left != BRIEF}
        assert set(lasting) <= set(found) <= set(self.expected)
        for key, left in lasting.items():
            assert found[key] == (left if left is None else pytest.approx(left, abs=30))
