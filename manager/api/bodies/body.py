"""What bodies have in common: what comes in, words that many of them hold, and the answer when something is wrong."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{8,64}\Z")]
Reason = Annotated[str, Meta(max_length=500)]
Address = Annotated[str, Meta(min_length=1, max_length=80)]  # or a network; looked at later, for an error with words
Target = Annotated[str, Meta(min_length=1, max_length=255)]  # an address or network, or a name; looked at later too
Some = Annotated[str, Meta(min_length=1)]  # nobody who leaves it empty by mistake means all


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what comes in: a misspelt key is an error, not a wish that is silently left out."""


class Problem(Struct, frozen=True, kw_only=True):
    """What every answer from 400 on holds."""

    error: str


def sentence(error: msgspec.ValidationError) -> str:
    """What is wrong with a body, for whoever wrote it: `timeout: Expected …`."""
    what, _, where = str(error).partition(" - at `$.")
    return f"{where.rstrip('`')}: {what}" if where else what
