"""What the judge goes by: what was accepted, what the broker carried, what kernels, ledger and journals say.

Nothing in it comes from a daemon's log, and nothing from a daemon while it may be killed.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from shared.messages import Acknowledgement, Expiry, Order
from tests.stage.kernel import Change


class Asked(Struct, frozen=True, kw_only=True):
    """An order that was accepted: by the API with 200 or 201, or by the broker with a confirm."""

    order: Order
    by: Literal["api", "amqp"]
    at: float  # accepted by then
    agents: tuple[str, ...]  # whom it is for


class Written(Struct, frozen=True, kw_only=True):
    """What the ledger has about an order and an agent."""

    state: str
    status: str | None


class Effect(Struct, frozen=True, kw_only=True):
    """What a journal has in force."""

    target: str
    orders: tuple[str, ...]


class Host(Struct, frozen=True, kw_only=True):
    """One agent's host: all that its kernel announced, and what kernel and journal have when everything is over."""

    changes: tuple[Change, ...]
    listed: frozenset[str]
    effects: tuple[Effect, ...]


class Away(Struct, frozen=True, kw_only=True):
    """A host that nothing reached, or the broker while it didn't run; by whom it was done."""

    host: str
    since: float
    until: float


class History(Struct, frozen=True, kw_only=True):
    """A whole run."""

    asked: tuple[Asked, ...]
    seen: Mapping[str, float]  # order id -> when the judge's own queue first had it
    answers: tuple[Acknowledgement, ...]
    ends: tuple[Expiry, ...]
    hosts: Mapping[str, Host]
    ledger: Mapping[tuple[str, str], Written]  # order id, agent
    away: tuple[Away, ...] = ()
    over_at: float  # when kernels, ledger and journals were asked
