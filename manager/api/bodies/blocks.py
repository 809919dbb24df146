"""Blocks: ordering and lifting them by hand, and what is in force."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from manager.api.bodies.body import Address, Body, Reason, RequestId
from manager.ledger.views import Block
from shared.messages import AgentId, Order, Span

ManualLocation = Literal["server", "agent", "all"]  # nobody saw anything, so there is no `local`


class NewBlock(Body, frozen=True, kw_only=True):
    """POST /v1/blocks. The same `request_id` is the same order, so a request that got no answer can be sent again."""

    request_id: RequestId
    address: Address
    location: ManualLocation
    agents: Annotated[tuple[AgentId, ...], Meta(max_length=1_000)] = ()  # for location `agent`, and only then
    timeout: Span | Literal["forever"] | UnsetType = UNSET  # seconds; left out: the manager's `manual_timeout`
    reason: Reason = ""
    dry_run: bool = False


class NewUnblock(Body, frozen=True, kw_only=True):
    """POST /v1/unblocks: lift every block of an address, wherever it is in force."""

    request_id: RequestId
    address: Address
    reason: Reason = ""


class NewUnblockOfEverything(Body, frozen=True, kw_only=True):
    """POST /v1/unblocks/everything: lift some of everything; ask again with the answer's `after` until it is null."""

    request_id: RequestId  # another one each time
    reason: Reason = ""
    after: Annotated[str, Meta(max_length=1_000)] = ""


class Given(Struct, frozen=True, kw_only=True):
    """The answer to both: the orders that were given, none when there was nothing to lift."""

    orders: tuple[Order, ...]
    repeated: bool  # the request was known, and these are its orders as they were given
    on_hold: bool = False  # nobody has been sent them
    notes: tuple[str, ...] = ()  # sentences that whoever asked should read


class EverythingLifted(Struct, frozen=True, kw_only=True):
    """How many orders were lifted, by how many deletes, and where to go on; null when that was all."""

    orders: int
    deletes: int
    after: str | None


class Blocks(Struct, frozen=True, kw_only=True):
    """GET /v1/blocks: what is in force, by the agents' own answers."""

    blocks: tuple[Block, ...]
