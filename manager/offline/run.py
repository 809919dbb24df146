"""Correlation and responses over whole logs, offline: no broker, no agent, and no clock but the lines' own time."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from manager.correlation import Correlator, LogLine
from manager.offline.finding import Finding, Tally

if TYPE_CHECKING:
    from manager.offline.responding import Responder


class Run:
    """One pass over lines. Without a `responder` no orders follow."""

    def __init__(self, correlator: Correlator, responder: "Responder | None" = None) -> None:
        self._correlator, self._responder = correlator, responder
        self.tally = Tally()

    def over(self, lines: Iterable[LogLine]) -> Iterator[Finding]:
        """What the lines make fire, in their order; `tally` grows with it."""
        feed, tally, responder = self._correlator.feed, self.tally, self._responder
        count = tally.count
        for tally.lines, line in enumerate(lines, 1):
            if responder is not None:
                for target, end in responder.ended(line.at):
                    self._correlator.forget(target, before=end)
            firing = feed(line)
            if firing is not None:
                finding = responder.respond(firing) if responder is not None else Finding(firing=firing)
                count(finding)
                yield finding
