"""What the journal says against what a look at the host found: pure, for whatever kind of action.

The rule it keeps: on any doubt nothing has drifted. A look takes time, in which the process may be stopped and effects
go on ending; so each is judged by both ends of that time.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Literal

from msgspec import Struct

from agent.journal.planning import FOREVER
from agent.journal.standing import Standing

NEAR = 1.0  # s: ends no further apart are one; what has no more than this to live and is gone has expired
FAR = 365 * 86_400.0  # s: ends that lie further away are one, too: no backend keeps time for centuries

Found = Literal["missing", "moved", "unknown"]


class Seen(Struct, frozen=True, kw_only=True):
    """What one action found in force, and the boot clock's readings before and after it looked."""

    left: Mapping[str, float | None]  # s by key; None: until lifted
    before: float
    after: float
    exact: bool = True  # False: `left` has not the ends that were given, and tells only what is in force


class Drift(Struct, frozen=True, kw_only=True):
    """How host and journal differ. `unsure`: also in what a turn is changing just now, which wants another look."""

    found: Mapping[str, Found]
    unsure: bool = False


def compare(standing: Standing, seen: Seen) -> Drift:
    """What is gone before its time, has another end than it should, or is in force for nobody."""
    sure: dict[str, Found] = {}
    unsure = False
    for key in chain(standing.ends, (key for key in seen.left if key not in standing.ends)):
        found = _judge(key, standing, seen)
        if found and key in standing.changing:
            unsure = True
        elif found:
            sure[key] = found
    return Drift(found=sure, unsure=unsure)


def _judge(key: str, standing: Standing, seen: Seen) -> Found | None:
    if key not in standing.ends:
        return "unknown" if _lasts(seen.left[key]) else None
    ends = standing.ends[key]
    most, least = ends - seen.before, ends - seen.after
    if least <= NEAR:
        return None
    if key not in seen.left:
        return "missing"
    return None if not seen.exact or _agrees(seen.left[key], least, most) else "moved"


def _lasts(left: float | None) -> bool:
    return left is None or left > NEAR


def _agrees(left: float | None, least: float, most: float) -> bool:
    """Whether `left` is what was to be left at some moment of the look."""
    if left is None or most == FOREVER:
        return left is None and most == FOREVER
    return min(least, FAR) - NEAR <= min(left, FAR) <= min(most, FAR) + NEAR
