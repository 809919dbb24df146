"""What a line comes to, told step by step: the shape that the API answers with and the command line prints.

Only words and numbers, and no import of the correlator: whoever asks loads nothing of a daemon.
"""

from typing import Literal

from msgspec import Struct

from shared.messages import Order

Outcome = Literal["matched", "failed", "silent"]
Reaction = Literal["ordered", "joined", "refused", "in-force", "not-selected", "disabled"]


class Header(Struct, frozen=True, kw_only=True):
    """A line's head: empty strings for what it doesn't have. `repeats` is how many lines it stands for."""

    timestamp: str
    hostname: str
    program_name: str
    pid: str
    message: str
    repeats: int = 1


class Field(Struct, frozen=True, kw_only=True):
    """What was taken out of the message, by which expression, and where (file:line) that stands."""

    name: str
    value: str
    expression: str
    dialect: str
    where: str


class Decoding(Struct, frozen=True, kw_only=True):
    """The decoder that took the line. `child` is empty when none of its children did."""

    name: str
    where: str  # file:line of the root
    because: str  # why it took the line
    child: str = ""
    child_where: str = ""
    child_because: str = ""
    label: str = ""  # the name that an alert gives
    fields: tuple[Field, ...] = ()
    unmatched: tuple[str, ...] = ()  # expressions of the child that found nothing


class Attempt(Struct, frozen=True, kw_only=True):
    """A rule that was tried. `depth` is 0 for a root; `test` is the one that decided, with `why` in words."""

    rule: str
    level: int
    description: str
    where: str
    depth: int
    outcome: Outcome
    test: str = ""
    why: str = ""


class Counting(Struct, frozen=True, kw_only=True):
    """A rule that counts the line from now on, and how far it has come. Spans are seconds."""

    rule: str
    count: int  # 0: the line can't be counted, `why` says what is missing
    needed: int
    timeframe: int
    key: dict[str, str]
    why: str = ""


class Responding(Struct, frozen=True, kw_only=True):
    """What one response makes of the alert, and why."""

    response: str
    where: str
    command: str
    location: str
    reaction: Reaction
    why: str
    order_id: str = ""


class Explanation(Struct, frozen=True, kw_only=True):
    """One line. `rule` is where it ends up (empty: nowhere), `fired` whether that makes an alert."""

    text: str
    at: float
    header: Header
    decoder: Decoding | None
    tried: tuple[Attempt, ...]
    rule: str = ""
    level: int = 0
    description: str = ""
    groups: tuple[str, ...] = ()
    mitre: tuple[str, ...] = ()
    where: str = ""
    fired: bool = False
    silence: str = ""  # why a rule that was matched makes no alert
    counted: int = 0  # lines that made it fire, this one included
    counts_for: tuple[Counting, ...] = ()
    alert_id: str = ""
    responses: tuple[Responding, ...] = ()
    orders: tuple[Order, ...] = ()
    note: str = ""  # why nothing is responded to, where there could be something

    @property
    def fields(self) -> dict[str, str]:
        """What was decoded, by name."""
        return {each.name: each.value for each in self.decoder.fields} if self.decoder else {}


class Explained(Struct, frozen=True, kw_only=True):
    """The lines of one session, in order."""

    lines: tuple[Explanation, ...]
    read_at: float | None = None  # when what is in force was read; None offline
