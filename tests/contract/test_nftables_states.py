"""Whatever is added, extended, shortened, lifted, left to end or changed by others, in whatever order: the kernel has
what was ordered last, and whoever asks whether others have moved it needn't look any more often.
"""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from agent.actions.action import Effect
from agent.actions.tools.places import place_of
from tests.contract.subject import InKernel
from tests.waiting import wait_for

NETWORKS = ("203.0.113.0/24", "203.0.113.0/25", "203.0.112.0/23", "198.51.100.0/25", "2001:db8::/64", "2001:db8::/120")
KEYS = st.sampled_from(
    [f"203.0.113.{number}" for number in range(1, 5)] + [f"2001:db8::{number}" for number in range(1, 5)] + [*NETWORKS]
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
    """No order of calls leaves a block behind, ends one early, makes one permanent, or hides what others did."""
    run_state_machine_as_test(lambda: _Firewall(in_kernel), settings=LIMITS)  # type: ignore[no-untyped-call]


class _Firewall(RuleBasedStateMachine):
    def __init__(self, subject: InKernel) -> None:
        super().__init__()
        self.subject = subject
        self.subject.flush()
        self.subject.action.prepare()
        self.expected: dict[str, float | None] = {}
        self.ruled = True  # the rules are there
        self.look()

    @rule(wanted=st.dictionaries(KEYS, TIMES, min_size=1))
    def apply(self, wanted: dict[str, float | None]) -> None:
        results = self.subject.action.apply([Effect(key=key, target=key, left=left) for key, left in wanted.items()])
        assert not [result for result in results if result.problem]
        self.expected |= wanted
        self.ruled = True

    @rule(keys=st.lists(KEYS, min_size=1))
    def lift(self, keys: list[str]) -> None:
        results = self.subject.action.revert([Effect(key=key, target=key) for key in keys])
        assert not [result for result in results if result.problem]
        for key in keys:
            self.expected.pop(key, None)
        self.ruled = True

    @rule()
    def let_the_brief_ones_end(self) -> None:
        for key in [key for key, left in self.expected.items() if left == BRIEF]:
            wait_for(lambda key=key: key not in self.subject.seen(), within=2)
            del self.expected[key]

    @rule()
    def restart(self) -> None:
        self.subject.action.prepare()
        self.ruled = True

    @rule()
    def somebody_flushes(self) -> None:
        self.subject.outside("add table inet thwart; flush ruleset")  # of nothing it would change nothing
        self.expected, self.ruled, self.moved = {}, False, True

    @precondition(lambda self: self.ruled)
    @rule()
    def somebody_flushes_the_rules(self) -> None:
        self.subject.outside("flush table inet thwart")
        self.ruled, self.moved = False, True

    @precondition(lambda self: any(left != BRIEF for left in self.expected.values()))
    @rule(data=st.data())
    def somebody_deletes_one(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(key for key, left in self.expected.items() if left != BRIEF)))
        place = place_of(key)
        self.subject.outside(f"delete element inet thwart {place.set.name} {{ {place.address} }}")
        del self.expected[key]
        self.moved = True

    @rule()
    def look(self) -> None:
        self.check(self.subject.action.inspect())
        self.moved = False  # by somebody else, since it looked

    @invariant()
    def the_kernel_has_it(self) -> None:
        self.check(self.subject.seen())

    @invariant()
    def it_is_told_whether_others_moved_it(self) -> None:
        if self.moved or self.ruled:  # else it depends on whether the brief ones are still there
            assert self.subject.action.moved() is self.moved

    def check(self, found: dict[str, Any]) -> None:
        lasting = {key: left for key, left in self.expected.items() if left != BRIEF} if self.ruled else {}
        assert set(lasting) <= set(found) <= (set(self.expected) if self.ruled else set())
        for key, left in lasting.items():
            assert found[key] == (left if left is None else pytest.approx(left, abs=30))
