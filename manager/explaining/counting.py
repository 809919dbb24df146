"""What rules count, in the plainest way: all lines of a key in one list, looked through anew for each line.

It holds what `correlation.windows` promises, without its shortcuts; the two are held against each other by a test.
"""

from collections.abc import Iterable, Mapping

from manager.correlation import LogLine
from manager.correlation.rules import Rule
from manager.correlation.windows import LATENESS

Key = tuple[str, ...]


class Seen:
    """A line that was counted. `consumed` is the level of the highest rule that it made fire."""

    __slots__ = ("at", "consumed", "fields", "line")

    def __init__(self, line: LogLine, fields: Mapping[str, str]) -> None:
        self.line, self.at, self.fields, self.consumed = line, line.at, fields, -1


class Count:
    """The windows of one rule that counts."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._needed = rule.frequency - 1  # besides the line at hand
        self._open: dict[Key, list[Seen]] = {}

    def add(self, seen: Seen) -> None:
        """Counts a line; one that lacks a field to compare isn't."""
        key = key_of(self.rule.same, seen.fields)
        if key is None:
            return
        window = [each for each in self._open.get(key, []) if self._keeps(each, seen)]
        # a line that comes late counts where it belongs; of equal instants the later line is the later
        self._open[key] = self._young(sorted([*window, seen], key=lambda each: each.at))

    def take(self, seen: Seen) -> list[Seen] | None:
        """The lines that make the rule fire together with `seen`, used up hereby; None when too few."""
        key = key_of(self.rule.same, seen.fields)
        usable = self._usable(seen)
        counted = self._together(usable, seen.at)
        if key is None or counted is None:
            return None
        for each in counted:
            each.consumed = self.rule.level
        self._open[key] = [each for each in self._open[key] if each.consumed < self.rule.level]
        return counted

    def count(self, seen: Seen) -> int:
        """How many lines, `seen` included, lie within one timeframe that ends with it."""
        others = [each for each in self._usable(seen) if each is not seen]
        return 1 + sum(0 <= seen.at - each.at <= self.rule.timeframe for each in others)

    def forget(self, value: str, before: float) -> None:
        """Drops the lines from before an instant that have `value` in one of their fields."""
        for key, window in self._open.items():
            self._open[key] = [each for each in window if each.at >= before or value not in each.fields.values()]

    def _keeps(self, each: Seen, seen: Seen) -> bool:
        """Of lines that must differ only the last of each kind is kept."""
        different = self.rule.different
        return not different or key_of(different, each.fields) != key_of(different, seen.fields)

    def _young(self, window: list[Seen]) -> list[Seen]:
        if len(window) <= self._needed:
            return window
        oldest = window[-1].at - self.rule.timeframe - LATENESS
        if window[0].at <= oldest:
            window = [each for each in window if each.at > oldest]
        return window[-8 * self._needed :]

    def _usable(self, seen: Seen) -> list[Seen]:
        key, different = key_of(self.rule.same, seen.fields), self.rule.different
        window = self._open.get(key, []) if key is not None else []
        window = [each for each in window if each.consumed < self.rule.level]
        if not different:
            return window
        own = key_of(different, seen.fields)
        others = ((each, key_of(different, each.fields)) for each in window)
        return [each for each, value in others if own is not None and value not in (own, None)]

    def _together(self, window: list[Seen], at: float) -> list[Seen] | None:
        """As many neighbours as are needed that lie, `at` included, within the timeframe; the latest such."""
        needed = self._needed
        before = sum(each.at <= at for each in window)
        for start in range(len(window) - needed, -1, -1):
            some = window[start : start + needed]
            touches = start <= before <= start + needed
            if touches and max(some[-1].at, at) - min(some[0].at, at) <= self.rule.timeframe:
                return some
        return None


class Quiet:
    """The `ignore` of one rule: for which keys it fired, and when."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._fired: dict[Key, float] = {}

    def since(self, seen: Seen) -> float | None:
        """Seconds since the rule fired, when it must not fire for the line; else its silence begins, and None."""
        fields = self._rule.same if self._rule.ignore_scope == "key" else ()
        key = key_of(fields, seen.fields) or ()
        fired = self._fired.get(key)
        if fired is not None and abs(seen.at - fired) < self._rule.ignore:
            return abs(seen.at - fired)
        self._fired[key] = seen.at
        return None


def key_of(fields: Iterable[str], values: Mapping[str, str]) -> Key | None:
    """What lines are compared by; None when one of the fields is lacking."""
    found = tuple(values.get(field, "") for field in fields)
    return found if all(found) else None


def counted_by(rules: Mapping[str, Rule]) -> dict[str, list[str]]:
    """By a rule's id, the ids of those that count it."""
    of_group: dict[str, list[str]] = {}
    for rule in rules.values():
        for group in rule.groups:
            of_group.setdefault(group, []).append(rule.id)
    found: dict[str, list[str]] = {}
    for rule in rules.values():
        counted = of_group.get(rule.counts_group, ()) if rule.counts_group else rule.counts_rules
        for other in dict.fromkeys(counted) if rule.frequency else ():
            if rules[other].level:
                found.setdefault(other, []).append(rule.id)
    return found
