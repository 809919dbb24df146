"""What orders act on: parse and normalise addresses and networks, and tell which are protected.

The rule it keeps: on any doubt the answer is no. What isn't plainly an address is InvalidTarget.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from shared.errors import InvalidTarget, ProtectedTarget

Network = IPv4Network | IPv6Network

# digits, hex and separators only: ipaddress also takes other scripts' digits and zone ids
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?", re.ASCII)
# no leading hyphen, which a program would take for an option, and nothing that parts fields or folders
_ACCOUNT = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@+$-]{0,254}", re.ASCII)


@lru_cache(maxsize=4_096)  # the same few are asked for with every order: each host's own, the allowlist, the target
def parse_network(text: str) -> Network:
    """An address or CIDR as a network; host bits cleared, `::ffff:a.b.c.d` as IPv4. Raises InvalidTarget."""
    if not _ADDRESS.fullmatch(text):
        raise InvalidTarget(f"{text[:80]!r} is not an IP address or network")
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidTarget(f"{text[:80]!r} is not an IP address or network: {error}") from error
    return _unmapped(network)


def _unmapped(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


def is_host(network: Network) -> bool:
    """True for a single address."""
    return network.prefixlen == network.max_prefixlen


def text_of(network: Network) -> str:
    """`203.0.113.9` for a host, `203.0.113.0/24` otherwise: the one spelling used in orders, keys and output."""
    return str(network.network_address) if is_host(network) else str(network)


def normalise_address(text: str) -> str:
    """The one spelling of an address or network that may be blocked.

    Raises InvalidTarget for what is none, and for multicast, unspecified, loopback,
    broadcast and default-route targets, which no block can mean.
    """
    network = parse_network(text.strip())
    address = network.network_address
    if network.prefixlen == 0:
        raise InvalidTarget(f"{text_of(network)} is everything")
    for wrong, what in (
        (network.is_multicast, "multicast"),
        (address.is_unspecified, "the unspecified address"),
        (network.is_loopback, "loopback"),
        (text_of(network) == "255.255.255.255", "broadcast"),
    ):
        if wrong:
            raise InvalidTarget(f"{text_of(network)} is {what}")
    return text_of(network)


def normalise_account(text: str) -> str:
    """The one spelling of an account's name. Raises InvalidTarget for what no system's user is called."""
    name = text.strip()
    if not _ACCOUNT.fullmatch(name):
        raise InvalidTarget(f"{text[:80]!r} is not an account's name")
    return name


def same_family(one: Network, other: Network) -> bool:
    """True when both are IPv4 or both IPv6."""
    return one.version == other.version


def overlap(one: Network, other: Network) -> bool:
    """True when the two share an address; either may be the larger."""
    return same_family(one, other) and one.overlaps(other)


class Allowlist:
    """Networks that no action may touch. A target is protected when it overlaps an entry in either direction."""

    def __init__(self, entries: Iterable[tuple[Network, str]] = ()) -> None:
        self._entries = tuple(entries)

    @classmethod
    def of(cls, texts: Iterable[str], because: str) -> "Allowlist":
        """An allowlist of addresses and CIDRs, all for the same reason. Raises InvalidTarget."""
        return cls((parse_network(text), because) for text in texts)

    def __or__(self, other: "Allowlist") -> "Allowlist":
        return Allowlist((*self._entries, *other._entries))

    def __iter__(self) -> Iterator[tuple[Network, str]]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def check(self, target: str) -> None:
        """Raises ProtectedTarget with the entry and the reason when `target` (normalised) overlaps one."""
        network = parse_network(target)
        for entry, because in self._entries:
            if overlap(network, entry):
                raise ProtectedTarget(f"{target} is protected by {text_of(entry)} ({because})")


def zone_free(address: str) -> str:
    """`fe80::1%eth0` without its zone, as interfaces and resolvers name them."""
    return str(ip_address(address.split("%", 1)[0]))
