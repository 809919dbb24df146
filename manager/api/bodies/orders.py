"""Orders: giving any by hand, which to list, and the list."""

from typing import Annotated

from msgspec import Meta, Struct

from manager.api.bodies.blocks import Terms
from manager.api.bodies.body import Body, Some
from manager.ledger.views import OrderState, OrderView

Argument = Annotated[str, Meta(max_length=1_000, pattern=r"^[^\x00-\x1f\x7f]*\Z")]  # a script's line has no second one


class NewOrder(Terms, frozen=True, kw_only=True):
    """POST /v1/orders: any action by hand. The same `request_id` is the same order; the answer is a `Given`."""

    action: Annotated[str, Meta(min_length=1, max_length=255)]  # a built-in one, a package's, or a script's file name
    target: Annotated[str, Meta(max_length=255)] = ""  # what such an action acts on; nothing for what just happens
    arguments: Annotated[tuple[Argument, ...], Meta(max_length=100)] = ()


class OrderFilter(Body, frozen=True, kw_only=True):
    """The query of GET /v1/orders."""

    state: OrderState | None = None
    target: Some | None = None
    agent: Some | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50


class Orders(Struct, frozen=True, kw_only=True):
    """GET /v1/orders, newest first. GET /v1/orders/ID answers one `OrderStory`."""

    orders: tuple[OrderView, ...]
