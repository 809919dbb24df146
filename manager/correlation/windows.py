"""What a rule with a frequency has counted, per key: the open windows, and which keys it is silent for.

Windows go by the instants of the lines and keep them in that order, so that a late line counts where it belongs.
Each is bounded, and so is their number: what was touched longest ago is forgotten first.
"""

from bisect import bisect_right, insort
from ipaddress import ip_address
from itertools import islice
from operator import attrgetter

from manager.correlation.events import Event
from manager.correlation.rules import Rule

MAX_KEYS = 100_000  # open windows of one rule; about 1 KiB for each line in them
SOURCE = "srcip"  # the field that holds who did it
LATENESS = 600.0  # s: how much older than the newest line of its key a line may be and still be counted

Key = str | tuple[str, ...]

_at = attrgetter("at")


class Keys:
    """The key that a rule compares lines by: the values of its `same_*` fields."""

    __slots__ = ("_only", "fields")

    def __init__(self, fields: tuple[str, ...]) -> None:
        self.fields = fields
        self._only = fields[0] if len(fields) == 1 else ""

    def of(self, event: Event) -> Key | None:
        """The event's key, the same for all without fields to compare; None when it lacks one of them."""
        if self._only:
            return event.fields.get(self._only) or None
        values = tuple(event.fields.get(field, "") for field in self.fields) if self.fields else ()
        return values if all(values) else None


class Windows:
    """The open windows of one composite rule."""

    __slots__ = ("_different", "_keys", "_level", "_most", "_needed", "_open", "_shared", "_timeframe")

    def __init__(self, rule: Rule, *, shared: bool) -> None:
        self._needed = rule.frequency - 1  # besides the line at hand
        self._most = 8 * self._needed  # lines of one key that are kept
        self._timeframe, self._level = rule.timeframe, rule.level
        self._keys = Keys(rule.same)
        self._different = Keys(rule.different) if rule.different else None
        self._shared = shared  # with other composites that count the same rules
        self._open: dict[Key, list[Event]] = {}

    def adopt(self, former: "Windows") -> None:
        """Go on with what the windows of an equal rule hold."""
        self._open = former._open

    def add(self, event: Event) -> None:
        """Count a line whose final rule is one of those that are counted."""
        key = self._keys.of(event)
        if key is None:
            return
        window = self._open.pop(key, None)
        if window is None:
            self._make_room()
            window = [event]
        else:
            self._place(window, event)
        self._open[key] = window  # at the end: touched last

    def _place(self, window: list[Event], event: Event) -> None:
        if self._different:
            value = self._different.of(event)
            window[:] = [each for each in window if self._different.of(each) != value]
        if not window or event.at >= window[-1].at:
            window.append(event)
        else:
            insort(window, event, key=_at)
        if len(window) > self._needed:
            oldest = window[-1].at - self._timeframe - LATENESS
            if window[0].at <= oldest:
                del window[: bisect_right(window, oldest, key=_at)]
            if len(window) > self._most:
                del window[: -self._most]

    def _make_room(self) -> None:
        if len(self._open) >= MAX_KEYS:
            for key in list(islice(self._open, MAX_KEYS // 4)):
                del self._open[key]

    def take(self, event: Event) -> tuple[Event, ...] | None:
        """The counted lines that make the rule fire together with `event`, and are hereby used up; None when too few.

        A line that was counted counts again only for a rule of a higher level.
        """
        key = self._keys.of(event)
        window = self._open.get(key) if key is not None else None
        if key is None or window is None or len(window) < self._needed:
            return None
        if event.at >= window[-1].at and event.at - window[-self._needed].at > self._timeframe:
            return None  # the usual case: in order, and too few that are young enough
        usable = self._usable(window, event)
        counted = self._together(usable, event.at)
        if counted is None:
            return None
        for each in counted:
            each.consumed = self._level
        left = [each for each in window if each.consumed < self._level]
        if left:
            self._open[key] = left
        else:
            del self._open[key]
        return tuple(counted)

    def _usable(self, window: list[Event], event: Event) -> list[Event]:
        if self._shared:
            window = [each for each in window if each.consumed < self._level]
        if self._different:
            value = self._different.of(event)
            window = [each for each in window if value is not None and self._different.of(each) not in (value, None)]
        return window

    def _together(self, window: list[Event], at: float) -> list[Event] | None:
        """As many neighbours as are needed that lie, `at` included, within the timeframe; the latest such."""
        needed = self._needed
        position = bisect_right(window, at, key=_at)
        for start in range(min(position, len(window) - needed), max(0, position - needed) - 1, -1):
            first, last = window[start].at, window[start + needed - 1].at
            if max(last, at) - min(first, at) <= self._timeframe:
                return window[start : start + needed]
        return None

    def forget(self, value: str, before: float | None) -> None:
        """Drop the lines that have `value` in one of their fields, or of those the ones from before an instant.

        A source's lines are all under its own key where sources are compared, so that no other window is looked at.
        """
        by_source = self._keys.fields == (SOURCE,) and _is_address(value)
        for key in [value] if by_source else list(self._open):
            window = self._open.get(key, [])
            left = [each for each in window if not _leaves(each, value, before)]
            if not left:
                self._open.pop(key, None)
            elif len(left) < len(window):
                self._open[key] = left

    def forget_everything(self) -> None:
        """Drop all lines."""
        self._open.clear()


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _leaves(event: Event, value: str, before: float | None) -> bool:
    return value in event.fields.values() and (before is None or event.at < before)


class Silence:
    """The `ignore` of a rule: for which keys it fired too recently to fire again."""

    __slots__ = ("_fired", "_keys", "_seconds")

    def __init__(self, rule: Rule) -> None:
        self._seconds = rule.ignore
        self._keys = Keys(rule.same if rule.ignore_scope == "key" else ())
        self._fired: dict[Key, float] = {}

    def adopt(self, former: "Silence") -> None:
        """Go on with the silences of an equal rule."""
        self._fired = former._fired

    def swallows(self, event: Event) -> bool:
        """Whether the rule must not fire for the event; when it may, its silence begins."""
        key = self._keys.of(event) or ()
        fired = self._fired.pop(key, None)
        silent = fired is not None and abs(event.at - fired) < self._seconds
        if fired is None and len(self._fired) >= MAX_KEYS:
            del self._fired[next(iter(self._fired))]
        self._fired[key] = fired if silent and fired is not None else event.at
        return silent
