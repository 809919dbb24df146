"""How the manager is."""

from typing import Literal

from msgspec import Struct

from manager.ledger.views import Pause


class Health(Struct, frozen=True, kw_only=True):
    """GET /v1/health."""

    version: str
    broker: Literal["connected", "away"]
    unsent: int  # messages that the broker has not confirmed
    on_hold: int  # orders that wait for a person
    paused: Pause | None  # nothing but lifts is sent
    tripped: tuple[str, ...]  # responses whose breaker keeps back what is new
    configured_at: float  # when the ossec.conf and the rules that are in force were read
    configuration_refused: str  # what was wrong with them the last time that they were read anew; empty: nothing
