"""Where a daemon under test stops: it leaves a mark that the test waits for, and then waits to be killed.

It goes on if the test takes the mark away.

Only the thread that came to the point stops; what the daemon has under way in others ends as it would have.
"""

import select
from pathlib import Path

from shared.broker import Publication, Publisher

PAUSE = 0.005  # s between two looks at the mark


class Point:
    """The one point, by name, at which this daemon stops, once."""

    def __init__(self, name: str, mark: str) -> None:
        self._name, self._mark, self._passed = name, Path(mark), False

    def __call__(self, name: str, matters: object = True) -> None:
        """Stops here when this is the point and something that `matters` is at stake."""
        if name == self._name and matters and not self._passed:
            self._passed = True
            self._mark.touch()
            while self._mark.exists():
                select.select((), (), (), PAUSE)  # under libfaketime time.sleep raises OSError


class StoppingPublisher(Publisher):
    """Stops before a message of some kind is sent (`sending order`), after that (`sent order`), or when the broker has
    it (`confirmed order`).
    """

    point: Point

    def send(self, publication: Publication):
        self.point(f"sending {publication.kind}")
        sent = super().send(publication)
        # Registered first, so it comes before whoever waits for the confirm hears of it.
        sent.add_done_callback(lambda done: self.point(f"confirmed {publication.kind}", not done.exception()))
        self.point(f"sent {publication.kind}")
        return sent
