"""Blocks: ordering and lifting them by hand, and what is in force."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from manager.api.bodies.body import Address, Body, Reason, RequestId, Some, Target
from manager.ledger.views import Block, Declined
from shared.messages import AgentId, Order, Span

Addresses = Annotated[tuple[Address, ...], Meta(min_length=1, max_length=1_000)]
ManualLocation = Literal["server", "agent", "all"]  # nobody saw anything, so there is no `local`


class Terms(Body, frozen=True, kw_only=True):
    """Where, and for how long, whatever is ordered."""

    request_id: RequestId
    location: ManualLocation
    agents: Annotated[tuple[AgentId, ...], Meta(max_length=1_000)] = ()  # for location `agent`, and only then
    timeout: Span | Literal["forever"] | UnsetType = UNSET  # seconds; left out: see `actions.term`
    reason: Reason = ""
    dry_run: bool = False


class NewBlock(Terms, frozen=True, kw_only=True):
    """POST /v1/blocks. The same `request_id` is the same order, so a request that got no answer can be sent again."""

    address: Address


class NewBlocks(Terms, frozen=True, kw_only=True):
    """POST /v1/blocks/many. One `request_id` for all parts of one file, so that a run that was cut off can go on."""

    addresses: Addresses


class NewUnblock(Body, frozen=True, kw_only=True):
    """POST /v1/unblocks: lift whatever is in force on an address, or on what goes by a name."""

    request_id: RequestId
    address: Target
    reason: Reason = ""
    keep: Span | None = None  # s that it also stays on the allowlist; for an address


class NewUnblocks(Body, frozen=True, kw_only=True):
    """POST /v1/unblocks/many."""

    request_id: RequestId
    addresses: Addresses
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


class GivenMany(Struct, frozen=True, kw_only=True):
    """What became of the first `taken` addresses; ask again with the others."""

    taken: int
    orders: int  # that are new
    repeated: int  # addresses whose order was known already
    on_hold: bool  # nobody has been sent some of them
    declined: tuple[Declined, ...]
    notes: tuple[str, ...] = ()


class BlockFilter(Body, frozen=True, kw_only=True):
    """The query of GET /v1/blocks. GET /v1/blocks/TARGET answers one `BlockStory`."""

    agent: Some | None = None
    target: Some | None = None
    order: Some | None = None  # the beginning of its id


class Blocks(Struct, frozen=True, kw_only=True):
    """GET /v1/blocks: what is in force, by the agents' own answers."""

    blocks: tuple[Block, ...]
