"""Where a daemon under test stops, it stays until the test lets it go on."""

import sys

from tests.stage.guard import Guard
from tests.stage.process import Process
from tests.stage.wrong_clock import WrongClock
from tests.waiting import wait_for

STOPS = "import sys; from tests.fault.stopping import Point; Point('here', sys.argv[1])('here')"


def test_one_that_stops_stays_until_its_mark_is_taken_away(guard: Guard, tmp_path) -> None:
    """Under a clock that is stepped, too: if it failed there instead, its other tasks would go on."""
    clock, mark = WrongClock(tmp_path), tmp_path / "stopped"
    clock.step(40)
    stops = Process(guard, [sys.executable, "-c", STOPS, str(mark)], tmp_path / "log", clock.environment)
    wait_for(mark.exists, 20)
    assert stops.running
    mark.unlink()
    assert stops.wait(20) == 0, stops.last_words()
