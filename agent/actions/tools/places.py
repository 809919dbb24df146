"""Where a host or network is blocked: by its family, its prefix length, and its first address.

The rule it keeps: what goes to a tool is spelled anew from the parsed address, so nothing that a sender wrote gets
there.
"""

from ipaddress import IPv6Address
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from msgspec import Struct

from shared.errors import InvalidTarget
from shared.targets import parse_network, text_of

_MAPPED = bytes(10) + b"\xff\xff"


class Set(Struct, frozen=True, order=True):
    """What is blocked of one family and prefix length."""

    version: int
    length: int

    @property
    def of_hosts(self) -> bool:
        """True for single addresses."""
        return self.length == LENGTHS[self.version]

    @property
    def name(self) -> str:
        """hosts4, nets6_64, …"""
        return f"hosts{self.version}" if self.of_hosts else f"nets{self.version}_{self.length}"

    def key(self, address: bytes) -> str:
        """The key of the effect that is in force by this element; empty when none is, because no packet comes from
        there. Raises InvalidTarget for what is no address of this family.
        """
        if len(address) * 8 != LENGTHS[self.version]:
            raise InvalidTarget(f"set {self.name} has an element that isn't Thwart's")
        if not self._can_match(address):
            return ""
        text = inet_ntop(AF_INET if self.version == 4 else AF_INET6, address)  # 20 times faster than ipaddress
        text = text if self.version == 4 or "." not in text else str(IPv6Address(address))
        return text if self.of_hosts else f"{text}/{self.length}"

    def _can_match(self, address: bytes) -> bool:
        """Behind a mask no bits are left; and an IPv4 address that is spelled as an IPv6 one comes in no packet."""
        if self.version == 6 and address.startswith(_MAPPED):
            return False
        return self.of_hosts or not int.from_bytes(address, "big") & ((1 << (LENGTHS[self.version] - self.length)) - 1)


LENGTHS = {4: 32, 6: 128}
HOSTS = frozenset(Set(version, length) for version, length in LENGTHS.items())


class Place(Struct, frozen=True):
    """Where a host or network is blocked: its set, and its first address there."""

    set: Set
    address: str


def place_of(key: str) -> Place:
    """Where the host or network is that `key` names. Raises InvalidTarget."""
    return _host_of(key) or _network_of(key)


def with_length(key: str) -> str:
    """The same with its prefix length, also when it is a host: `203.0.113.9/32`."""
    return key if "/" in key else f"{key}/{LENGTHS[6 if ':' in key else 4]}"


def _host_of(key: str) -> Place | None:
    """The same for an address in its one spelling, four times as fast: a start with many effects has many of them."""
    version, family = (6, AF_INET6) if ":" in key else (4, AF_INET)
    if version == 6 and "." in key:  # it may mean an IPv4 address
        return None
    try:
        address = inet_ntop(family, inet_pton(family, key))
    except (OSError, ValueError):
        return None
    return Place(Set(version, LENGTHS[version]), address) if address == key else None


def _network_of(key: str) -> Place:
    network = parse_network(key)
    if network.prefixlen == 0:
        raise InvalidTarget(f"{text_of(network)} is everything")
    return Place(Set(network.version, network.prefixlen), str(network.network_address))
