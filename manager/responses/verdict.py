"""The seam between dispatch and responses: what is judged, and what comes of it."""

from collections.abc import Callable

from msgspec import Struct

from manager.responses.standing import Standing
from manager.roster import Members
from shared.messages import Alert, Order


class Sighting(Struct, frozen=True, kw_only=True):
    """An alert, and the instant of its last line."""

    alert: Alert
    at: float


class Offence(Struct, frozen=True, kw_only=True):
    """What an order counts as: the offence of its target with a response, and when its block ends."""

    response: str
    target: str
    offence: int
    ends_at: float


class Refusal(Struct, frozen=True, kw_only=True):
    """A response that did not act on an alert, and why: a closed word, and a sentence."""

    response: str
    target: str
    reason: str
    detail: str


class Verdict(Struct, frozen=True, kw_only=True):
    """What the responses make of one alert."""

    orders: tuple[Order, ...] = ()
    offences: tuple[Offence, ...] = ()
    refusals: tuple[Refusal, ...] = ()


Judge = Callable[[Sighting, Members, Standing, float], Verdict]  # the last is now, in Unix seconds
