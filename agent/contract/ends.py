"""The contract of actions whose host keeps the time, so that an effect ends also when the agent is dead."""

import pytest

from agent.contract.action import done, effect, in_force
from agent.contract.subject import Ending

SOON = 0.2  # s; a host that counts in seconds takes one


class EndingContract:
    """Beside `ActionContract`."""

    def test_an_effect_ends_by_itself(self, subject: Ending) -> None:
        """Nobody has to come back for it, and no other goes with it."""
        first, second, *_ = subject.examples
        done(subject, {first: SOON, second: 60.0})
        subject.ends(first, SOON)
        in_force(subject, {second: 60.0})

    def test_the_host_knows_the_last_end(self, subject: Ending) -> None:
        """What was extended stays, and what was shortened goes: it isn't the first end that counts."""
        extended, shortened, *_ = subject.examples
        done(subject, {extended: SOON, shortened: 60.0})
        done(subject, {extended: 60.0, shortened: SOON})
        subject.ends(shortened, SOON)
        in_force(subject, {extended: 60.0})

    def test_one_that_had_ended_can_be_applied_again(self, subject: Ending) -> None:
        """What has ended by itself doesn't get in the way of the next block."""
        key = subject.examples[0]
        done(subject, {key: 0.05})
        subject.ends(key, 0.05)
        done(subject, {key: 60.0})
        in_force(subject, {key: 60.0})

    def test_next_to_nothing_left_is_not_for_ever(self, subject: Ending) -> None:
        """A tool may take a time that is rounded down to none for no end at all."""
        lefts = (0.0004, 1e-9, 0.0, -3.0)
        keys = subject.many[: len(lefts)]
        done(subject, dict(zip(keys, lefts, strict=True)))
        for key in keys:
            subject.ends(key, 0.01)

    @pytest.mark.parametrize("left", [99_999.999, 100_000.0, 3_000_000.0, 86_400.0 * 365])
    def test_long_blocks_keep_their_length(self, subject: Ending, left: float) -> None:
        """What is too large a number for a tool is no short time, and no error."""
        key = subject.examples[0]
        assert not any(each.problem for each in subject.action.apply([effect(key, left)]))
        assert set(subject.seen()) == {key}
        if subject.action.exact:
            assert subject.action.inspect()[key] == pytest.approx(left, abs=1)
