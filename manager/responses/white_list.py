"""`<white_list>`: networks that no address action may touch, and names that a log may give instead of an address.

A name protects only a source that the log itself names that way; nothing is looked up, because an answer from the
network isn't something to rest protection on.
"""

import re
from ipaddress import IPv4Network

from msgspec import Struct

from manager.correlation.dialects import Pattern
from manager.responses.options import fail
from manager.xml import Element
from shared.errors import InvalidTarget
from shared.targets import Network, parse_network

_ADDRESS_LIKE = re.compile(r"[0-9./, ]+|.*:.*")
_WITH_MASK = re.compile(r"([0-9.]+)/([0-9]+(?:\.[0-9]+){3})")


class HostPattern(Struct, frozen=True, kw_only=True):
    """A host name to protect, in the language of `<match>`: case-insensitive, `^` and `$` for whole names."""

    pattern: Pattern
    where: str

    @property
    def text(self) -> str:
        """As the file has it."""
        return self.pattern.source


def entry(element: Element) -> Network | HostPattern:
    """What a `<white_list>` element holds. Raises ConfigurationError."""
    text = element.value
    if not text or element.children:
        fail(element, "<white_list> holds one address, network or ^host name$")
    try:
        return parse_network(_without_mask(text))
    except (InvalidTarget, ValueError) as wrong:
        if _ADDRESS_LIKE.fullmatch(text):
            fail(element, f"{wrong}; one entry in each <white_list>")
    if text.startswith("!") or not text.strip("^$|"):
        fail(element, f"`{text}` would protect every host name; list what is to be protected")
    return HostPattern(pattern=Pattern(text, "osmatch"), where=element.where())


def _without_mask(text: str) -> str:
    """`10.0.0.0/255.0.0.0` as `10.0.0.0/8`; anything else as it is."""
    found = _WITH_MASK.fullmatch(text)
    return f"{found[1]}/{IPv4Network(f'0.0.0.0/{found[2]}').prefixlen}" if found else text
