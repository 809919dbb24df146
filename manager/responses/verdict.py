"""The seam between dispatch and responses: what is judged, and what comes of it."""

from collections.abc import Callable

from msgspec import Struct, field

from manager.responses.breaker import OPEN, Gate
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
    order_id: str  # the order that it is for; while that is on hold, nothing has been done about the offence


class Refusal(Struct, frozen=True, kw_only=True):
    """A response that did not act on an alert, and why: a closed word, and a sentence."""

    response: str
    target: str
    reason: str
    detail: str


class Verdict(Struct, frozen=True, kw_only=True):
    """What the responses make of one alert."""

    orders: tuple[Order, ...] = ()
    gates: dict[str, Gate] = field(default_factory=dict)  # by order id
    offences: tuple[Offence, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def gate(self, order: Order) -> Gate:
        """What `order` has to pass."""
        return self.gates.get(order.id, OPEN)

    def offences_of(self, order: Order) -> tuple[Offence, ...]:
        """What `order` counts as."""
        return tuple(each for each in self.offences if each.order_id == order.id)


Judge = Callable[[Sighting, Members, Standing, float], Verdict]  # the last is now, in Unix seconds
