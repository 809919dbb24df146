"""The allowlist: changing it, asking it, and what it holds."""

from msgspec import Struct

from manager.api.bodies.body import Address, Body, Reason, RequestId
from manager.ledger.views import AllowEntry, Life
from shared.messages import AgentId, Order, Span


class NewAllow(Body, frozen=True, kw_only=True):
    """POST /v1/allow: put a network on the allowlist, and lift what overlaps it."""

    request_id: RequestId
    network: Address
    reason: Reason = ""
    keep: Span | None = None  # s that it stays on the list; null: until it is taken off


class AllowRemoval(Body, frozen=True, kw_only=True):
    """The query of DELETE /v1/allow."""

    network: Address


class AllowQuestion(Body, frozen=True, kw_only=True):
    """The query of GET /v1/allow/check; with an agent, also by what is known of that one."""

    address: Address
    agent: AgentId | None = None


class AllowListing(Struct, frozen=True, kw_only=True):
    """GET /v1/allow: the list, and which agents' last heartbeat didn't show this version of it."""

    version: int
    entries: tuple[AllowEntry, ...]
    behind: tuple[str, ...]


class AllowChanged(Struct, frozen=True, kw_only=True):
    """The answer to both changes."""

    version: int
    network: str
    lifted: tuple[Order, ...]  # the deletes that were given for it
    notes: tuple[str, ...] = ()


class AtAgent(Struct, frozen=True, kw_only=True):
    """What the manager knows of one agent's protection. Each also protects what its host alone knows of."""

    id: str
    state: Life
    own: tuple[str, ...]  # its own addresses, of those that were asked about
    version: int  # the version of the list that it has
    current: bool  # that is the latest


class AllowChecked(Struct, frozen=True, kw_only=True):
    """GET /v1/allow/check: what protects an address or network."""

    target: str
    protected: bool
    entries: tuple[AllowEntry, ...]  # those that it overlaps
    never: str  # why no block of it could be meant anyway; empty when it could
    agent: AtAgent | None
