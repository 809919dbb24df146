"""A flood that somebody else causes shows up in the log without filling it."""

from structlog.testing import capture_logs

from manager.ration import MOST, SPAN, Ration
from tests.unit.a_manager import StoppedClock


def test_a_flood_is_cut_and_what_was_left_out_is_said():
    """So many lines a minute come through; the first of the next minute says how many did not."""
    clock = StoppedClock()
    ration = Ration(clock)
    with capture_logs() as logs:
        for number in range(MOST + 5):
            ration.say("a dead letter", number=number)
        clock.passed = SPAN
        ration.say("another")
    assert [each["number"] for each in logs[:-1]] == list(range(MOST))
    assert logs[-1] == {"event": "another", "log_level": "warning", "left_out_before": 5}
