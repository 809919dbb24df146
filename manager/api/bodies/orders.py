"""Orders: which to list, and the list."""

from typing import Annotated

from msgspec import Meta, Struct

from manager.api.bodies.body import Body, Some
from manager.ledger.views import OrderState, OrderView


class OrderFilter(Body, frozen=True, kw_only=True):
    """The query of GET /v1/orders."""

    state: OrderState | None = None
    target: Some | None = None
    agent: Some | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50


class Orders(Struct, frozen=True, kw_only=True):
    """GET /v1/orders, newest first. GET /v1/orders/ID answers one `OrderStory`."""

    orders: tuple[OrderView, ...]
