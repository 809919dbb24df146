"""What orders act on: parse and normalise addresses and networks, and tell which are protected.

The rule it keeps: on any doubt the answer is no. What isn't plainly an address is InvalidTarget.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from shared.errors import InvalidTarget, ProtectedTarget

Network = IPv4Network | IPv6Network

# digits, hex and separators only: ipaddress also takes other scripts' digits and zone ids
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?", re.ASCII)
# no leading hyphen, which a program would take for an option, and nothing that parts fields or folders
_ACCOUNT = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@+$-]{0,254}", re.ASCII)
_MEANT_AS_ADDRESS = re.compile(r"[0-9.]*[./][0-9./]*|[0-9A-Fa-f.:/]*:[0-9A-Fa-f.:/]*", re.ASCII)
_HARDWARE = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", re.ASCII)  # an Ethernet address, which scripts may act on
_LONGEST_NAME = 255  # characters


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
    address, name = network.network_address, text_of(network)
    if network.prefixlen == 0:
        raise InvalidTarget(f"{name} is everything")
    whole = address if is_host(network) else network  # a network would look at both of its ends
    for wrong, what in (
        (whole.is_multicast, "multicast"),
        (address.is_unspecified, "the unspecified address"),
        (whole.is_loopback, "loopback"),
        (name == "255.255.255.255", "broadcast"),
    ):
        if wrong:
            raise InvalidTarget(f"{name} is {what}")
    return name


def one_spelling(target: str) -> str:
    """`target` as orders spell it; what is no address that may be blocked stays as it is, to be looked for so."""
    try:
        return normalise_address(target)
    except InvalidTarget:
        return target


def names_address(target: str) -> bool:
    """True for an address or network; False for a name."""
    try:
        parse_network(target)
    except InvalidTarget:
        return False
    return True


def names_host(target: str) -> bool:
    """True for a single address; False for a network, and for what is neither."""
    return names_address(target) and is_host(parse_network(target))


def normalise_account(text: str) -> str:
    """The one spelling of an account's name. Raises InvalidTarget for what no system's user is called."""
    name = text.strip()
    if names_address(name):
        raise InvalidTarget(f"{name} is an address, and no account's name")
    if not _ACCOUNT.fullmatch(name):
        raise InvalidTarget(f"{text[:80]!r} is not an account's name")
    return name


def normalise_target(text: str) -> str:
    """The one spelling of anything that an order may act on: an address, a network, an account, a script's own word.

    Raises InvalidTarget for what none of them can be, which an address with a mistake in it is: it is no name.
    """
    name = text.strip()
    # first: to find out what 64,000 dots were meant as takes seconds, and no address is as long
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidTarget(f"{name[:80]!r} is no address, and no name: one line of at most {_LONGEST_NAME} characters")
    if names_address(name) or (_MEANT_AS_ADDRESS.fullmatch(name) and not _HARDWARE.fullmatch(name)):
        return normalise_address(name)
    return name


def same_family(one: Network, other: Network) -> bool:
    """True when both are IPv4 or both IPv6."""
    return one.version == other.version


def overlap(one: Network, other: Network) -> bool:
    """True when the two share an address; either may be the larger."""
    return same_family(one, other) and one.overlaps(other)


class Allowlist:
    """Networks that no action may touch. A target is protected when it overlaps an entry in either direction.

    Asking costs the same for ten entries and for ten thousand: one look for each prefix length in use.
    """

    def __init__(self, entries: Iterable[tuple[Network, str]] = ()) -> None:
        self._entries = tuple(entries)
        self._families: dict[int, _Family] | None = None  # made when it is asked: most lists are only joined to others

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
        """Raises ProtectedTarget with an entry and its reason when `target` (normalised) overlaps one."""
        found = self._find(parse_network(target))
        if found is not None:
            entry, because = found
            raise ProtectedTarget(f"{target} is protected by {text_of(entry)} ({because})")

    def protects(self, target: str) -> bool:
        """True when `target` overlaps an entry; what is no address never does."""
        try:
            return self._find(parse_network(target)) is not None
        except InvalidTarget:
            return False

    def overlapping(self, network: Network) -> list[tuple[Network, str]]:
        """Every entry that `network` overlaps, in the order of the list. Looks at each."""
        return [(entry, because) for entry, because in self._entries if overlap(network, entry)]

    def _find(self, network: Network) -> tuple[Network, str] | None:
        if self._families is None:
            self._families = {
                version: _Family([each for each in self._entries if each[0].version == version]) for version in (4, 6)
            }
        return self._families[network.version].find(network)


class _Family:
    """The entries of one family, to be found by the network that holds a target, or by lying in it."""

    def __init__(self, entries: Sequence[tuple[Network, str]]) -> None:
        self._holding: dict[tuple[int, int], tuple[Network, str]] = {}  # by prefix length, and the bits that count
        for each in entries:
            network = each[0]
            bits = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            self._holding.setdefault((network.prefixlen, bits), each)
        self._lengths = sorted({length for length, _ in self._holding})
        self._by_start = sorted(entries, key=_start)
        self._starts = [_start(each) for each in self._by_start]

    def find(self, network: Network) -> tuple[Network, str] | None:
        """An entry that overlaps `network`, the widest of those that hold it; None when there is none."""
        first = int(network.network_address)
        for length in self._lengths:
            if length > network.prefixlen:
                return self._inside(first, int(network.broadcast_address))
            found = self._holding.get((length, first >> (network.max_prefixlen - length)))
            if found is not None:
                return found
        return None

    def _inside(self, first: int, last: int) -> tuple[Network, str] | None:
        """An entry that lies in a target which none holds: networks are apart, or one lies in the other."""
        place = bisect_left(self._starts, first)
        return self._by_start[place] if place < len(self._starts) and self._starts[place] <= last else None


def _start(entry: tuple[Network, str]) -> int:
    return int(entry[0].network_address)


def zone_free(address: str) -> str:
    """`fe80::1%eth0` without its zone, as interfaces and resolvers name them."""
    return str(ip_address(address.split("%", 1)[0]))
