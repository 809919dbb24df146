"""Offenders: whom to list, the list, and what was forgotten."""

from typing import Annotated

from msgspec import Meta, Struct

from manager.api.bodies.body import Body, Some
from manager.ledger.views import Offence


class OffenderFilter(Body, frozen=True, kw_only=True):
    """The query of GET /v1/offenders. GET /v1/offenders/TARGET answers one `OffenderStory`."""

    target: Some | None = None
    response: Some | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50


class Offenders(Struct, frozen=True, kw_only=True):
    """GET /v1/offenders, whose block ends last first. DELETE answers those that are forgotten."""

    offenders: tuple[Offence, ...]


class Pardon(Body, frozen=True, kw_only=True):
    """The query of DELETE /v1/offenders."""

    target: Some
    response: Some | None = None
