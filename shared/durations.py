"""Spans of time as people write them: `90`, `10m`, `2h`, `1d`; the one parser for files, settings and command lines."""

import re

from shared.errors import InvalidDuration

LONGEST = 3_155_760_000.0  # s: a century, the longest span that a message carries

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([smhdw]?)", re.ASCII | re.IGNORECASE)


def seconds(text: str, bare: float = 1.0) -> float:
    """`text` in seconds; a number without a unit counts `bare` seconds each. 0 is a span too.

    Raises InvalidDuration for anything else: a sign, garbage, more than a century.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise InvalidDuration(f"{text[:80]!r} is not a duration; write 90, 90s, 10m, 2h, 1d or 1w")
    number, unit = found.groups()
    span = float(number) * (_UNITS[unit.lower()] if unit else bare)
    if span > LONGEST:
        raise InvalidDuration(f"{text[:80]!r} is longer than a century")
    return span


def words(span: float) -> str:
    """A span as people say it, in its two largest units: `45 s`, `10 min`, `2 h 5 min`, `3 d`."""
    whole = round(span)
    if whole < 60:
        return f"{whole} s" if whole or not span else f"{span:.1f} s"
    parts = []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, whole = divmod(whole, size)
        parts.append((count, name))
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {name}" for count, name in parts[first : first + 2] if count)
