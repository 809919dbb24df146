"""One line on its way through the rules: its syslog header taken apart, its fields decoded only when something asks.

The headers are those of RFC 3164 (`Dec 10 06:55:46 host program[24200]: …`; `journalctl` adds a fraction when it is
asked to) and of daemons that write ISO 8601 instants.
"""

import re
from typing import Protocol

from msgspec import Struct

from manager.correlation.dialects import lower
from manager.correlation.lookup import LEAD

_HEADER = re.compile(
    r"((?:[A-Z][a-z]{2} [ \d]\d|\d{4}-\d\d-\d\d[T ]) ?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    r" (\S+) ([^\s\[:]+)(?:\[(\d+)\])?: ?(.*)",
    re.DOTALL,
)
_REPEATED = re.compile(r"message repeated (\d{1,9}) times: \[ ?(.*)\]\s*\Z", re.DOTALL)


class LogLine(Struct, frozen=True, kw_only=True, gc=False):
    """One line of one file. An empty `agent_id` stands for the host that the line itself names (a log read offline)."""

    agent_id: str
    source: str  # the path that is followed
    file: str  # the file's identity
    offset: int  # of the line's first byte in the file
    at: float  # Unix seconds: by the line's own time where it has one
    text: str


class Decoder(Protocol):
    """What an event asks for its fields: a root decoder with its children."""

    name: str

    def extract(self, event: "Event") -> tuple[dict[str, str], str]:
        """The fields that the event's message holds, by name; the decoder's name as an alert gives it."""


class Event:
    """A line, taken apart. Fields are decoded on first use, because most lines are settled without them."""

    __slots__ = (
        "_fields",
        "_label",
        "at",
        "consumed",
        "decoder",
        "host",
        "lead",
        "line",
        "lowered",
        "message",
        "pid",
        "program",
        "repeats",
        "stamp",
    )

    def __init__(self, line: LogLine) -> None:
        self.line, self.at = line, line.at
        self.repeats = 1
        self.consumed = -1  # level of the highest composite that counted it already
        self.decoder: Decoder | None = None
        self._label = ""
        self._fields: dict[str, str] | None = None
        header = _HEADER.match(line.text)
        if header is None:
            self.stamp = self.host = self.program = ""
            self.pid: str | None = None
            self.message = line.text
        else:
            self.stamp, self.host, self.program, self.pid, self.message = header.groups()
            if self.message.startswith("message repeated "):
                self._unfold()
        message = self.message
        self.lowered = message.lower() if message.isascii() else lower(message)  # `lower`, without a call for most
        self.lead = self.lowered[:LEAD]

    @property
    def fields(self) -> dict[str, str]:
        """What the decoders took out of the message, by name."""
        if self._fields is None:
            self._fields, self._label = self.decoder.extract(self) if self.decoder else ({}, "")
        return self._fields

    @property
    def label(self) -> str:
        """The decoder's name as an alert gives it: the root's, unless a child insists on its own."""
        _ = self.fields  # what decodes them knows it
        return self._label

    def _unfold(self) -> None:
        """Syslog daemons fold equal lines into one that says how often."""
        if folded := _REPEATED.match(self.message):
            self.repeats, self.message = max(1, int(folded.group(1))), folded.group(2)
