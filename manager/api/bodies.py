"""What goes into the HTTP API and comes out of it, as JSON: the contract between the manager and its clients."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from manager.ledger.views import AllowEntry, Block, DeadLetter, Objection, OrderState, OrderView, Pause
from shared.messages import AgentId, Order, Span

RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{8,64}\Z")]
Reason = Annotated[str, Meta(max_length=500)]
Some = Annotated[str, Meta(min_length=1)]  # nobody who leaves it empty by mistake means all
ManualLocation = Literal["server", "agent", "all"]  # nobody saw anything, so there is no `local`


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what comes in: a misspelt key is an error, not a wish that is silently left out."""


class NewBlock(Body, frozen=True, kw_only=True):
    """POST /v1/blocks. The same `request_id` is the same order, so a request that got no answer can be sent again."""

    request_id: RequestId
    address: Annotated[str, Meta(min_length=1, max_length=80)]
    location: ManualLocation
    agents: Annotated[tuple[AgentId, ...], Meta(max_length=1_000)] = ()  # for location `agent`, and only then
    timeout: Span | Literal["forever"] | UnsetType = UNSET  # seconds; left out: the manager's `manual_timeout`
    reason: Reason = ""
    dry_run: bool = False


class NewUnblock(Body, frozen=True, kw_only=True):
    """POST /v1/unblocks: lift every block of an address, wherever it is in force."""

    request_id: RequestId
    address: Annotated[str, Meta(min_length=1, max_length=80)]
    reason: Reason = ""


class NewUnblockOfEverything(Body, frozen=True, kw_only=True):
    """POST /v1/unblocks/everything: lift some of everything; ask again with the answer's `after` until it is null."""

    request_id: RequestId  # another one each time
    reason: Reason = ""
    after: Annotated[str, Meta(max_length=1_000)] = ""


class NewDecision(Body, frozen=True, kw_only=True):
    """POST /v1/approvals and /v1/refusals: on orders by id, on those of a response or on a target, or on everything.

    Some at a time; ask again with the answer's `before` while it says that there are `more`.
    """

    ids: Annotated[tuple[Annotated[str, Meta(min_length=4, max_length=255)], ...], Meta(max_length=1_000)] = ()
    response: Some | None = None  # its identity: its name, if it has one
    target: Some | None = None
    everything: bool = False
    reason: Reason = ""
    before: float | None = None


class NewPause(Body, frozen=True, kw_only=True):
    """POST /v1/pause; the answer is a `Standstill`, as that of GET /v1/pause."""

    reason: Reason = ""


class NewResumption(Body, frozen=True, kw_only=True):
    """POST /v1/resume; the answer is a `Standstill`."""


class OrderFilter(Body, frozen=True, kw_only=True):
    """The query of GET /v1/orders."""

    state: OrderState | None = None
    target: Some | None = None
    agent: Some | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50


class Given(Struct, frozen=True, kw_only=True):
    """The answer to both: the orders that were given, none when there was nothing to lift."""

    orders: tuple[Order, ...]
    repeated: bool  # the request was known, and these are its orders as they were given
    on_hold: bool = False  # nobody has been sent them
    notes: tuple[str, ...] = ()  # sentences that whoever asked should read


class OnHoldDecided(Struct, frozen=True, kw_only=True):
    """What became of a decision, and whether to ask again."""

    orders: tuple[str, ...]  # ids, of those that it was done with
    objections: tuple[Objection, ...]
    more: bool
    before: float


class EverythingLifted(Struct, frozen=True, kw_only=True):
    """How many orders were lifted, by how many deletes, and where to go on; null when that was all."""

    orders: int
    deletes: int
    after: str | None


class Orders(Struct, frozen=True, kw_only=True):
    """GET /v1/orders, newest first. GET /v1/orders/ID answers one `OrderStory`."""

    orders: tuple[OrderView, ...]


class DeadLetterFilter(Body, frozen=True, kw_only=True):
    """The query of GET /v1/dead-letters."""

    reason: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50


class DeadLetters(Struct, frozen=True, kw_only=True):
    """GET /v1/dead-letters, newest first; the beginning of each body in base64."""

    dead_letters: tuple[DeadLetter, ...]


class NewAllow(Body, frozen=True, kw_only=True):
    """POST /v1/allow: put a network on the allowlist, and lift what overlaps it."""

    request_id: RequestId
    network: Annotated[str, Meta(min_length=1, max_length=80)]
    reason: Reason = ""


class AllowRemoval(Body, frozen=True, kw_only=True):
    """The query of DELETE /v1/allow."""

    network: Annotated[str, Meta(min_length=1, max_length=80)]


class AllowQuestion(Body, frozen=True, kw_only=True):
    """The query of GET /v1/allow/check; with an agent, also by what is known of that one."""

    address: Annotated[str, Meta(min_length=1, max_length=80)]
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
    state: Literal["living", "silent"]
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


class Blocks(Struct, frozen=True, kw_only=True):
    """GET /v1/blocks: what is in force, by the agents' own answers."""

    blocks: tuple[Block, ...]


class AgentView(Struct, frozen=True, kw_only=True):
    """An agent as it was last heard of. Instants are Unix seconds by the manager's clock."""

    id: str
    state: Literal["living", "silent"]
    hostname: str
    roles: tuple[str, ...]
    labels: dict[str, str]
    addresses: tuple[str, ...]
    actions: dict[str, str]  # name -> backend
    unsupported: dict[str, str]  # name -> why not
    version: str
    first_seen_at: float
    seen_at: float
    skew: float  # s that its clock is behind ours; the message's way included
    holds: int  # orders in force that have more than a minute left
    drift: int  # effects that its host has otherwise than they should be, and that are not put right yet
    unsent: int
    trouble: str


class Agents(Struct, frozen=True, kw_only=True):
    """GET /v1/agents, by id."""

    agents: tuple[AgentView, ...]


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


class Problem(Struct, frozen=True, kw_only=True):
    """What every answer from 400 on holds."""

    error: str


def sentence(error: msgspec.ValidationError) -> str:
    """What is wrong with a body, for whoever wrote it: `timeout: Expected …`."""
    what, _, where = str(error).partition(" - at `$.")
    return f"{where.rstrip('`')}: {what}" if where else what
