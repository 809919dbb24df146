"""What the ledger shows: orders with what each agent says about them, and blocks in force. Never rows.

The command line shows it too, so that neither a database nor a broker is imported for it.
"""

from collections.abc import Collection
from typing import Literal

from msgspec import Struct

from shared.messages import Alert, Order

AgentOrderState = Literal[
    "waiting",  # no answer yet
    "overdue",  # no answer in time from an agent that is living
    "unroutable",  # nobody in the roster goes by that name
    "applied",
    "unchanged",
    "lifted",
    "simulated",
    "refused",
    "stale",  # it came too late, or nothing came until it was too late
    "failed",
    "ended",
    "on-hold",  # taken back by a pause
    "withdrawn",  # its agent was removed, or gone, while it was open
]
Life = Literal["living", "silent", "gone"]  # of an agent
OrderState = AgentOrderState | Literal["unsent", "not-approved"]

FOREIGN = "foreign"  # the origin of another correlator's order; no alert's or request's id is that short

# An order is in the state of the agent that needs most looking after.
_BY_NEED: tuple[AgentOrderState, ...] = (
    "overdue",
    "waiting",
    "failed",
    "refused",
    "unroutable",
    "stale",
    "applied",
    "unchanged",
    "simulated",
    "lifted",
    "ended",
    "withdrawn",
    "on-hold",
)


class OrderQuery(Struct, frozen=True, kw_only=True):
    """Which orders to list, newest first."""

    state: OrderState | None = None
    target: str | None = None  # normalised
    agent: str | None = None  # that it is for
    limit: int = 50


class AgentOrder(Struct, frozen=True, kw_only=True):
    """An order as one agent sees it. Instants that the agent gave are by its clock."""

    agent_id: str
    state: AgentOrderState
    since: float  # expected from then on, or last sent; the manager's clock
    note: str  # the manager's reason for a state that is no answer
    status: str | None  # what it answered
    detail: str
    exit_code: int | None
    received_at: float | None
    settled_at: float | None
    expires_at: float | None  # the effect's end after this order
    answered_at: float | None  # when its first answer came, the manager's clock
    ended_at: float | None
    cause: str | None  # timeout, lifted
    outcome: str | None  # reverted, kept, failed
    ended_detail: str


class Hold(Struct, frozen=True, kw_only=True):
    """That an order is on hold, or was."""

    reason: Literal["breaker", "approval", "paused"]
    since: float
    note: str  # what became of it, and by whom; empty while it is on hold


class OrderView(Struct, frozen=True, kw_only=True):
    """An order and where it stands."""

    id: str
    state: OrderState
    order: Order | None  # None: foreign, known from answers alone
    action: str
    target: str
    origin: str  # the alert's id, a person's request id, or `foreign`
    sent_at: float | None  # when the broker confirmed it
    lifted_by: str | None  # the `delete` that names it
    agents: tuple[AgentOrder, ...]
    hold: Hold | None = None


class Said(Struct, frozen=True, kw_only=True):
    """One thing that an agent said about an order."""

    agent_id: str
    kind: Literal["acknowledgement", "expiry"]
    word: str  # its status or outcome
    detail: str
    said_at: float  # the agent's clock
    recorded_at: float  # the manager's clock
    expected: bool  # False: the order was not for this agent, and this settled nothing


class OrderStory(Struct, frozen=True, kw_only=True):
    """One order from the alert to the end."""

    view: OrderView
    alert: Alert | None
    history: tuple[Said, ...]  # in the order in which it was heard


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A message that could not be taken. Everything but `at`, `reason` and `size` is as its sender wrote it, cut."""

    at: float  # when it was written down
    reason: str  # a closed word
    detail: str
    exchange: str
    routing_key: str
    kind: str
    message_id: str
    sender: str  # the login that sent it, or set it aside; empty when it isn't known
    died_in: str  # the queue that it was taken off, if it was in one
    size: int  # bytes
    body: bytes  # the first KEPT of them


class AllowEntry(Struct, frozen=True, kw_only=True):
    """A network on the allowlist, and where it comes from."""

    network: str
    reason: str
    source: str  # the path of the file that lists it; empty when it was added by hand
    issuer: str = ""
    added_at: float | None = None
    until: float | None = None  # off the list from then on; None: until it is taken off


class Listing(Struct, frozen=True, kw_only=True):
    """The allowlist at one moment."""

    version: int
    entries: tuple[AllowEntry, ...]


class Holder(Struct, frozen=True, kw_only=True):
    """An order that holds a block on an agent."""

    agent_id: str
    order_id: str
    since: float  # when it was carried out there, the agent's clock
    until: float | None  # None: until lifted
    lifting: bool  # a delete is on its way
    response: str  # whose order it is; empty when a person gave it


class Block(Struct, frozen=True, kw_only=True):
    """A target that is blocked somewhere, by what agents have answered."""

    target: str
    action: str
    holders: tuple[Holder, ...]  # by agent, the latest end first


class BlockQuery(Struct, frozen=True, kw_only=True):
    """Which blocks to list."""

    target: str | None = None  # normalised
    agent: str | None = None  # where
    order: str | None = None  # the beginning of the id of an order that holds them


class BlockStory(Struct, frozen=True, kw_only=True):
    """Everything that blocks an address or network, and what is coming."""

    target: str
    blocks: tuple[Block, ...]  # of it, one for each action
    around: tuple[Block, ...]  # of networks that cover it
    inside: tuple[Block, ...]  # of what lies in it
    orders: tuple[OrderView, ...]  # on it, that hold it or may come to; newest first


class Offence(Struct, frozen=True, kw_only=True):
    """At which offence a target is with a response."""

    response: str
    target: str
    offence: int  # 1 for the first
    ends_at: float | None  # of its last block; None: until lifted
    forgotten_at: float | None  # if nothing happens until then; None: not as long as it is blocked


class OffenderStory(Struct, frozen=True, kw_only=True):
    """What is remembered of an offender, and what was done about it."""

    target: str
    offences: tuple[Offence, ...]  # by response
    orders: tuple[OrderView, ...]  # that responses gave, newest first
    blocks: tuple[Block, ...]  # in force


class Pause(Struct, frozen=True, kw_only=True):
    """That nothing but lifts is sent: since when (Unix seconds), on whose word, and why."""

    since: float
    issuer: str
    reason: str


class Standstill(Struct, frozen=True, kw_only=True):
    """What is kept back: by a pause, by tripped breakers, and how many orders wait for a person."""

    pause: Pause | None
    on_hold: dict[str, int]  # by reason
    tripped: tuple[str, ...]  # responses
    changed: bool = False  # by the request that this answers
    taken_back: int = 0  # orders that it put on hold, because they were unsent


class Objection(Struct, frozen=True, kw_only=True):
    """An order on hold that was not done with as asked, and why."""

    order_id: str  # as it was asked for
    target: str
    why: str


class Declined(Struct, frozen=True, kw_only=True):
    """An address of many with which nothing was done, and why."""

    address: str
    why: str


def state_of(sent: bool, states: Collection[AgentOrderState]) -> OrderState:
    """An order's own state, from its agents'. One for nobody in the roster is `unroutable`."""
    if not states:
        return "unroutable"
    if not sent and all(state == "waiting" for state in states):
        return "unsent"
    return next(state for state in _BY_NEED if state in states)
