"""Searching with an end: no expression, whatever a rule file says, takes long over any text, whatever a log holds.

Python's `re` can't be stopped and holds up every thread. It searches what `cost` shows to be cheap: nearly all
expressions over nearly all lines. The rest is searched by the `regex` library within an allowance of time. When that is
used up, the text counts as one that doesn't match, and the allowance is halved, so that a sender of such texts gains
less and less; each search that ends in time doubles it again.
"""

import re
from contextvars import ContextVar
from typing import Protocol, cast

from manager.correlation.cost import Cost, cost

ALLOWANCE = 0.02  # s of one search, at most
_LEAST = 0.001  # s: what an ordinary line takes many times over
_ENDLESS = 1 << 62  # longer than any text
_FUZZY = re.compile(r"(?<!\\)\{(?=[^0-9,}])")  # a brace that `regex` might take for its approximate matching

_REPEATS = re.compile(r"[*+?{]")


class Match(Protocol):
    """What both libraries give."""

    @property
    def lastindex(self) -> int | None:
        """The number of the last group that took something."""

    def groups(self) -> tuple[str | None, ...]:
        """What the parentheses took."""

    def end(self) -> int:
        """Where it ends."""


class _Timed(Protocol):
    def search(self, text: str, *, timeout: float) -> Match | None: ...


class _Strikes:
    """How the searches for one expression went."""

    __slots__ = ("allowance", "cut")

    def __init__(self) -> None:
        self.allowance, self.cut = ALLOWANCE, 0


_apart: ContextVar[dict["Bounded", _Strikes] | None] = ContextVar("apart", default=None)


def stand_apart() -> None:
    """From now on searches of this thread have allowances and counts of their own, anew each time that this is called.

    What a person has explained neither makes the correlator miss a line nor is counted as a line that it missed.
    """
    _apart.set({})


class Bounded:
    """One expression."""

    __slots__ = ("_strikes", "_timed", "cost", "longest", "regex")

    def __init__(self, regex: re.Pattern[str]) -> None:
        self.regex = regex
        self.cost = cost(regex.pattern, regex.flags) if _REPEATS.search(regex.pattern) else Cost(degree=1)
        longest = self.cost.longest
        self.longest = _ENDLESS if longest is None else longest  # characters that `re` may search
        self._strikes = _Strikes()
        self._timed: _Timed | None = None

    @property
    def may_be_cut(self) -> bool:
        """Whether some text is too much for `re`."""
        return self.longest < _ENDLESS

    @property
    def explodes(self) -> bool:
        """Whether a short text can be enough."""
        return self.cost.degree is None or self.longest == 0

    def timed(self, text: str) -> Match | None:
        """The first match in a text that may be too much; None as well when it was."""
        timed, strikes = self._timed, self._own()
        if timed is None:
            timed = self._timed = _compiled(self.regex)
        try:
            found = timed.search(text, timeout=strikes.allowance)
        except TimeoutError:
            strikes.cut += 1
            strikes.allowance = max(_LEAST, strikes.allowance / 2)
            return None
        strikes.allowance = min(ALLOWANCE, strikes.allowance * 2)
        return found

    def cut(self) -> int:
        """How many searches were given up since this was last asked."""
        strikes = self._own()
        times, strikes.cut = strikes.cut, 0
        return times

    def _own(self) -> _Strikes:
        apart = _apart.get()
        return self._strikes if apart is None else apart.setdefault(self, _Strikes())


def _compiled(expression: re.Pattern[str]) -> _Timed:
    import regex  # type: ignore[import-untyped]  # takes a while to load; few need it

    flags = regex.VERSION0 | regex.ASCII
    for ours, theirs in ((re.IGNORECASE, regex.IGNORECASE), (re.DOTALL, regex.DOTALL)):
        flags |= theirs if expression.flags & ours else 0
    return cast(_Timed, regex.compile(_FUZZY.sub(r"\\{", expression.pattern), flags))
