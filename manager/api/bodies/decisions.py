"""What people decide: about orders on hold, and about a pause."""

from typing import Annotated

from msgspec import Meta, Struct

from manager.api.bodies.body import Body, Reason, Some
from manager.ledger.views import Objection


class NewDecision(Body, frozen=True, kw_only=True):
    """POST /v1/approvals and /v1/refusals: on orders by id, on those of a response or on a target, or on everything.

    Some at a time; ask again with the answer's `before` while it says that there are `more`.
    """

    ids: Annotated[tuple[Annotated[str, Meta(min_length=4, max_length=255)], ...], Meta(max_length=1_000)] = ()
    response: Some | None = None  # its identity: its name, if it has one
    target: Some | None = None
    everything: bool = False
    reason: Reason = ""
    before: float | None = None


class NewPause(Body, frozen=True, kw_only=True):
    """POST /v1/pause; the answer is a `Standstill`, as that of GET /v1/pause."""

    reason: Reason = ""


class NewResumption(Body, frozen=True, kw_only=True):
    """POST /v1/resume; the answer is a `Standstill`."""


class OnHoldDecided(Struct, frozen=True, kw_only=True):
    """What became of a decision, and whether to ask again."""

    orders: tuple[str, ...]  # ids, of those that it was done with
    objections: tuple[Objection, ...]
    more: bool
    before: float


class Decided(Struct, frozen=True, kw_only=True):
    """What became of all that was meant, however many turns it took; what `thwart approve -o json` prints."""

    orders: tuple[str, ...]
    objections: tuple[Objection, ...]
