"""Asking what lines come to; the answer is `manager.explaining.explanation.Explained`."""

from typing import Annotated

from msgspec import Meta

from manager.api.bodies.body import Body

MOST_LINES = 1_000  # in one session
LONGEST = 16 * 1024  # characters of one line

Line = Annotated[str, Meta(max_length=LONGEST)]


class NewExplanation(Body, frozen=True, kw_only=True):
    """Lines of one log, in order. `agent` is who would have collected them; empty: the host that each names."""

    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=MOST_LINES)]
    agent: Annotated[str, Meta(max_length=63)] = ""
