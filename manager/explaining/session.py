"""Some lines in one session, each explained: through the rules, and on to what responses would order.

Nothing is ordered, remembered or touched: offenders and blocks are this session's own.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from manager.correlation import LogLine, Ruleset, alert_id
from manager.correlation.alerts import described
from manager.explaining.explanation import Explanation, Header
from manager.explaining.reacting import Reactions
from manager.explaining.walk import Trace, Walk
from shared.instants import YEAR, instant

SOURCE = "explain"  # what stands for the file that the lines are from
AHEAD = 86_400.0  # s that a line may be later than now: clocks, zones


class Session:
    """Lines, one after the other. Without `reactions` no responses are looked at."""

    def __init__(self, ruleset: Ruleset, reactions: Reactions | None = None) -> None:
        self._walk, self._reactions = Walk(ruleset), reactions

    def explain(self, line: LogLine) -> Explanation:
        """What the line comes to, and why."""
        for target, end in self._reactions.ended(line.at) if self._reactions else ():
            self._walk.forget(target, before=end)
        trace = self._walk.feed(line)
        reacted = self._reactions.to(trace.firing) if self._reactions and trace.firing else None
        rule, firing = trace.rule, trace.firing
        return Explanation(
            text=line.text,
            at=line.at,
            header=_header(trace),
            decoder=trace.decoding,
            tried=trace.tried,
            rule=rule.id if rule else "",
            level=rule.level if rule else 0,
            description=described(firing) if firing else rule.description if rule else "",
            groups=rule.groups if rule else (),
            mitre=rule.mitre if rule else (),
            where=rule.element.where() if rule else "",
            fired=firing is not None,
            silence=_silence(trace),
            counted=firing.count if firing else 0,
            counts_for=trace.counts_for,
            alert_id=alert_id(firing) if firing else "",
            responses=reacted.responses if reacted else (),
            orders=reacted.orders if reacted else (),
            note=reacted.note if reacted else "",
        )


class Dated(Struct, frozen=True, kw_only=True):
    """How the lines of a session are dated: what no line is much later than, and the year of the first."""

    near: float
    year: int | None = None


def dated(texts: Iterable[str], by: Dated, agent_id: str = "") -> Iterator[LogLine]:
    """Lines with the time that they name; one that names none comes with the line before."""
    at, near, year = by.near, by.near + AHEAD - YEAR / 2, by.year
    offset = 0
    for text in texts:
        named = instant(text, near, None, year)
        if named is not None:
            at = near = named
            year = None
        yield LogLine(agent_id=agent_id, source=SOURCE, file=SOURCE, offset=offset, at=at, text=text)
        offset += len(text.encode("utf-8", "backslashreplace")) + 1


def explain(session: Session, texts: Sequence[str], now: float, agent_id: str = "") -> tuple[Explanation, ...]:
    """All of the lines, in order."""
    return tuple(session.explain(line) for line in dated(texts, Dated(near=now), agent_id))


def _header(trace: Trace) -> Header:
    event = trace.event
    return Header(
        timestamp=event.stamp,
        hostname=event.host,
        program_name=event.program,
        pid=event.pid or "",
        message=event.message,
        repeats=event.repeats,
    )


def _silence(trace: Trace) -> str:
    if trace.rule is None or trace.firing is not None:
        return ""
    return "level 0 makes no alert" if trace.rule.level == 0 else "noalert: it counts, and makes no alert itself"
