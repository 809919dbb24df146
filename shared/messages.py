"""What goes over the wire: frozen structs, one per kind of message. `codec` turns them into bytes and back.

Instants end in `_at` and are Unix seconds (UTC); spans are seconds. Unknown keys are ignored on reading,
a missing or ill-typed key is refused.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from shared.durations import LONGEST
from shared.ids import fingerprint

PROTOCOL_VERSION = 1
LATEST = 32_503_680_000.0  # the year 3000
LONGEST_JOURNAL = 64  # characters of a journal's id
ONE_SHOT = 60.0  # s: the deadline of an action that just happens
ENDING = 60.0  # s: `Holds` leaves out what ends within a minute, so that an end isn't taken for a difference

Instant = Annotated[float, Meta(ge=0, le=LATEST)]  # NaN and infinities are refused
Span = Annotated[float, Meta(gt=0, le=LONGEST)]
Offset = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # bytes into a file; what SQL's integers hold
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Version = Annotated[int, Meta(ge=0, le=2**63 - 1)]
ExitCode = Annotated[int, Meta(ge=-(2**31), le=2**32 - 1)]  # Windows' are unsigned
Word = Annotated[str, Meta(min_length=1, max_length=255)]
JournalId = Annotated[str, Meta(max_length=LONGEST_JOURNAL)]
AGENT_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z"  # `$` would let a newline through
AgentId = Annotated[str, Meta(pattern=AGENT_ID)]

Operation = Literal["add", "delete"]
Location = Literal["local", "server", "agent", "all"]
Status = Literal["applied", "unchanged", "lifted", "simulated", "refused", "stale", "failed"]


class Message(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What every message has: `v`, the protocol version it speaks."""

    v: int = PROTOCOL_VERSION


class Order(Message, frozen=True, kw_only=True):
    """Tells agents to put an effect in force (`add`) or to end what earlier orders hold (`delete`)."""

    id: Word
    operation: Operation
    action: Word
    location: Location
    issued_at: Instant
    deadline: Instant  # after this it must not be started
    lifts: tuple[Word, ...] = ()  # delete: the ids of the orders that it ends
    arguments: tuple[str, ...] = ()
    agents: tuple[AgentId, ...] = ()  # names for `local` and `agent`, empty for `server` and `all`
    target: str = ""  # normalised address, network or account
    timeout: Span | None = None  # None: until lifted
    expires_at: Instant | None = None  # issued_at + timeout
    offence: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1
    exempt: bool = False  # the agent's white list does not apply; the automatic set always does
    response: str = ""
    rule_id: str = ""
    reason: str = ""
    alert: dict[str, Any] = field(default_factory=dict)  # Wazuh's JSON shape, for scripts
    dry_run: bool = False
    issuer: str = ""

    @property
    def lasting(self) -> bool:
        """Its effect is held until an end: a one-shot's deadline is short and it has no timeout."""
        return self.timeout is not None or self.deadline - self.issued_at > ONE_SHOT


class Acknowledgement(Message, frozen=True, kw_only=True):
    """An agent's answer to an order."""

    order_id: Word
    agent_id: AgentId
    status: Status
    received_at: Instant
    settled_at: Instant
    detail: str = ""
    exit_code: ExitCode | None = None
    expires_at: Instant | None = None  # the effect's end after this order


class Expiry(Message, frozen=True, kw_only=True):
    """Says that an order which was `applied` or `unchanged` no longer holds its effect; exactly one for each."""

    order_id: Word
    agent_id: AgentId
    action: Word
    target: str
    cause: Literal["timeout", "lifted"]
    outcome: Literal["reverted", "kept", "failed"]
    at: Instant
    detail: str = ""


class Holds(Struct, frozen=True, kw_only=True):
    """Fingerprint of the orders in force on an agent that have more than `ENDING` left."""

    count: Count
    xor: str  # ids.fingerprint() of their ids

    @classmethod
    def of(cls, order_ids: Iterable[str]) -> "Holds":
        """The fingerprint of these, each of which is named once."""
        ids = list(order_ids)
        return cls(count=len(ids), xor=fingerprint(ids))


class PolicyEntry(Struct, frozen=True, kw_only=True, array_like=True):
    """One address or network that no action may touch, and why."""

    network: Word
    reason: str = ""


class Policy(Message, frozen=True, kw_only=True):
    """The allowlist as it is from this version on. Order `exempt` overrides it, never an agent's automatic set.

    `caught_up` names the journal of an agent that was sent, before this, all that is in force for it. One that has lost
    that journal since was not: what it had taken is gone too.
    """

    version: Version  # a later one is greater; Unix seconds, so that a ledger made anew comes after the lost one's
    entries: tuple[PolicyEntry, ...]
    caught_up: JournalId = ""


class Heartbeat(Message, frozen=True, kw_only=True):
    """What an agent is and holds; every 10 s, at once on start and on each reconnect."""

    agent_id: AgentId
    at: Instant
    started_at: Instant
    journal: JournalId  # made with the journal file; another one means that it was lost
    boot: str
    version: str
    hostname: str
    holds: Holds
    roles: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    actions: dict[str, str] = field(default_factory=dict)  # name -> backend, of what this host can carry out
    unsupported: dict[str, str] = field(default_factory=dict)  # name -> why not
    passed_over: dict[str, str] = field(default_factory=dict)  # name -> why not by what is better than its backend
    policy: Version = 0  # the version of the allowlist that it has; 0: none yet
    drift: Count = 0  # effects that the host was found not to have as the journal says, and not put right yet
    unsent: Count = 0
    queue: Literal["new", "kept"] = "kept"  # new: the agent had to make its queue anew
    trouble: str = ""


class LogLine(Struct, frozen=True, kw_only=True, array_like=True):
    """One line that a host logged, without its newline; invalid UTF-8 escaped, cut at 64 KiB."""

    text: str
    at: Instant  # as the collector resolved it
    offset: Offset  # of its first byte in the file


class Cursor(Struct, frozen=True, kw_only=True):
    """Where a batch lies in its file: `[first, next)` in bytes."""

    file: Word  # identity that survives renaming and differs after truncation
    first: Offset
    next: Offset


class LogBatch(Message, frozen=True, kw_only=True):
    """Lines of one source, in order."""

    agent_id: AgentId
    source: Word  # the path that is followed
    lines: tuple[LogLine, ...]
    collected_at: Instant
    cursor: Cursor


class AlertRule(Struct, frozen=True, kw_only=True):
    """The rule that an alert passed."""

    id: str
    level: int
    description: str
    groups: tuple[str, ...] = ()


class AlertAgent(Struct, frozen=True, kw_only=True):
    """The host that an alert is about."""

    id: str
    name: str = ""
    ip: str = ""


class Alert(Struct, frozen=True, kw_only=True):
    """Something passed a rule; Wazuh's alert JSON shape."""

    id: Word
    timestamp: str  # ISO 8601 with zone
    rule: AlertRule
    agent: AlertAgent
    full_log: str = ""
    previous_output: str = ""
    location: str = ""  # the source of the line, as in Wazuh
    data: dict[str, Any] = field(default_factory=dict)
    decoder: dict[str, str] = field(default_factory=dict)
    predecoder: dict[str, str] = field(default_factory=dict)
