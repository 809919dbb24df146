"""Correlation over lines and rule files that a test writes itself."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from manager.correlation import Correlator, Firing, LogLine, Rule, Ruleset, alert, load, shipped
from manager.correlation.events import Event
from manager.explaining.walk import Trace, Walk

START = 1_764_000_000.0
ATTACKER = "203.0.113.9"
OTHER = "203.0.113.10"


def line(text: str, at: float = 0.0, offset: int = 0) -> LogLine:
    """A line as an agent sends it, so many seconds after START."""
    return LogLine(agent_id="web1", source="/var/log/auth.log", file="1:2", offset=offset, at=START + at, text=text)


def sshd(message: str, at: float = 0.0, program: str = "sshd") -> LogLine:
    """What the ssh server says, as RFC 3164 has it."""
    return line(f"Nov 24 16:00:00 web1 {program}[4711]: {message}", at)


def unknown(at: float = 0.0, source: str = ATTACKER, user: str = "admin") -> LogLine:
    """A failed login of a user that doesn't exist."""
    return sshd(f"Failed password for invalid user {user} from {source} port 4022 ssh2", at)


def wrong(at: float = 0.0, source: str = ATTACKER, user: str = "root") -> LogLine:
    """A failed login of a user that exists."""
    return sshd(f"Failed password for {user} from {source} port 4022 ssh2", at)


def rules(folder: Path, *texts: str, shipped_too: bool = True) -> Ruleset:
    """The shipped rules, and then files with these texts."""
    paths = [shipped()] if shipped_too else []
    for number, text in enumerate(texts):
        path = folder / f"{number}.xml"
        path.write_text(text)
        paths.append(path)
    return load(paths)


def fired(ruleset: Ruleset, lines: Iterable[LogLine]) -> list[Firing]:
    """What a fresh correlator makes of the lines."""
    return feed_all(Correlator(ruleset), lines)


def ids(firings: Sequence[Firing]) -> list[str]:
    """The rules that fired, in order."""
    return [firing.rule.id for firing in firings]


def when(firings: Sequence[Firing], rule: str) -> list[float]:
    """The instants at which a rule fired, in seconds after START."""
    return [firing.at - START for firing in firings if firing.rule.id == rule]


def feed_all(correlator: Correlator, lines: Iterable[LogLine]) -> list[Firing]:
    """Feeds the lines one by one; what fired."""
    return [firing for line in lines if (firing := correlator.feed(line)) is not None]


def in_step(fast: Correlator, walk: Walk, line: LogLine) -> Trace:
    """Feeds both with the line: what is explained has to be what happens, to the last field and the alert."""
    trace, firing = walk.feed(line), fast.feed(line)
    fields = {each.name: each.value for each in trace.decoding.fields} if trace.decoding else {}
    assert _come_to(trace.firing, fields) == _come_to(firing, firing.fields if firing else {})
    return trace


def _come_to(firing: Firing | None, fields: dict[str, str]) -> tuple[object, ...] | None:
    return (firing.rule.id, fields, firing.previous, alert(firing)) if firing else None


class Ends:
    """Listens to a rule as what counts it does, and notes which lines end there, by which decoder."""

    def __init__(self, rule: Rule, seen: list[tuple[Rule, Event]]) -> None:
        self._rule, self._seen = rule, seen

    def add(self, event: Event) -> None:
        """One more."""
        self._seen.append((self._rule, event))


def listen(correlator: Correlator, seen: list[tuple[Rule, Event]]) -> None:
    """Have `seen` say from now on where each line ends."""
    for node in correlator._nodes.values():
        node.listeners = (*node.listeners, Ends(node.rule, seen))


def ended(correlator: Correlator, lines: Iterable[LogLine]) -> list[tuple[Rule, Event]]:
    """Where each line ends, whether a rule fires or not; nothing of those that no rule is for."""
    seen: list[tuple[Rule, Event]] = []
    listen(correlator, seen)
    feed_all(correlator, lines)
    return seen
