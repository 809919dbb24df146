"""Dead letters: which to list, and the list."""

from typing import Annotated

from msgspec import Meta, Struct

from manager.api.bodies.body import Body
from manager.ledger.views import DeadLetter


class DeadLetterFilter(Body, frozen=True, kw_only=True):
    """The query of GET /v1/dead-letters."""

    reason: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50


class DeadLetters(Struct, frozen=True, kw_only=True):
    """GET /v1/dead-letters, newest first; the beginning of each body in base64."""

    dead_letters: tuple[DeadLetter, ...]
