"""Spans of time, in Unix seconds: what a kernel had in force, what it had to have, and what it might."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from tests.stage.kernel import Change

FOREVER = float("inf")


class Span(Struct, frozen=True, order=True):
    """From `since` until `until`."""

    since: float
    until: float

    @property
    def length(self) -> float:
        """Seconds; negative for what is no span at all."""
        return self.until - self.since


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that don't touch, in order."""
    merged: list[Span] = []
    for span in sorted(each for each in spans if each.length > 0):
        if merged and span.since <= merged[-1].until:
            before = merged.pop()
            span = Span(before.since, max(before.until, span.until))
        merged.append(span)
    return merged


def without(span: Span, others: Iterable[Span]) -> list[Span]:
    """What of `span` is in none of `others`."""
    left, since = [], span.since
    for other in union(others):
        left.append(Span(since, min(other.since, span.until)))
        since = max(since, other.until)
    left.append(Span(since, span.until))
    return [each for each in left if each.length > 0]


def stays(changes: Sequence[Change]) -> Mapping[str, list[Span]]:
    """When each member was in its set, by what the kernel announced. What it ends by itself it doesn't announce."""
    found: dict[str, list[Span]] = {}
    sets: dict[str, set[str]] = {}
    for change in changes:
        members = sets.setdefault(change.set, set())
        members |= {change.member} - {""}
        for member in [change.member] if change.member else members:
            _change(found.setdefault(member, []), change)
    return {member: spans for member, spans in found.items() if spans}


def _change(spans: list[Span], change: Change) -> None:
    until = FOREVER if change.left is None else change.at + change.left
    if spans and spans[-1].until > change.at:
        spans[-1] = Span(spans[-1].since, until)
    elif until > change.at:
        spans.append(Span(change.at, until))
