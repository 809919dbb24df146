"""A table of our own in nft's language: which set a host or network is in, and what has to be said to put it there.

A set of hosts for each family, and one of networks for each prefix length in use, matched by its mask. None with
intervals: there a /24 inside a /16 fails the whole transaction, neighbours are fused and get the longer end, and one
more element costs a second at 100,000. Here each has its own end in the kernel, whatever lies inside it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from msgspec import Struct

from shared.errors import InvalidTarget
from shared.targets import parse_network, text_of

TABLE = "thwart"
CHAINS = ("input", "forward")  # packets for containers never see `input`
LONGEST = 3_650 * 86_400  # s; some centuries are out of the kernel's range

_MAPPED = bytes(10) + b"\xff\xff"
_NAMED = re.compile(r"hosts(?P<hosts>[46])|nets(?P<nets>[46])_(?P<length>\d{1,3})")

# Sets and counters that are there stay as they are. The rules are written anew, in the same transaction, because nft
# has no "add unless it is there" for rules; the counters are named so that they outlive that.
_TABLE = """\
add table inet thwart
add counter inet thwart dropped4
add counter inet thwart dropped6
add chain inet thwart input { type filter hook input priority -10; }
add chain inet thwart forward { type filter hook forward priority -10; }
flush chain inet thwart input
flush chain inet thwart forward
"""


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


Wanted = Mapping[Place, float | None]  # seconds left


def named(name: str) -> Set | None:
    """The set of ours that is called so."""
    found = _NAMED.fullmatch(name)
    if found is None:
        return None
    version = int(found["hosts"] or found["nets"])
    length = int(found["length"] or LENGTHS[version])
    return Set(version, length) if 0 < length <= LENGTHS[version] else None


def place_of(key: str) -> Place:
    """Where the host or network is that `key` names. Raises InvalidTarget.

    What goes to nft is spelled anew from the parsed address, so nothing that a sender wrote gets there.
    """
    return _host_of(key) or _network_of(key)


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


def declared(some: Iterable[Set]) -> str:
    """The table with the sets of hosts and `some` others, and a rule in each chain for each of them and no other."""
    return _declared(tuple(sorted(HOSTS.union(some))))


@lru_cache(maxsize=64)  # the same are in use for hours
def _declared(some: Sequence[Set]) -> str:
    return _TABLE + "".join(map(_set, some)) + "".join(_rule(chain, each) for chain in CHAINS for each in some)


def _set(each: Set) -> str:
    return f"add set inet {TABLE} {each.name} {{ type ipv{each.version}_addr; flags timeout; }}\n"


def _rule(chain: str, each: Set) -> str:
    family = "ip" if each.version == 4 else "ip6"
    mask = "" if each.of_hosts else f" & {ip_network((bytes(LENGTHS[each.version] // 8), each.length)).netmask}"
    counter = f"counter name dropped{each.version}"
    return f"add rule inet {TABLE} {chain} {family} saddr{mask} @{each.name} {counter} drop\n"


def removed(some: Iterable[Set]) -> str:
    """Takes whole sets out. None of them may have a rule any more."""
    return "".join(f"delete set inet {TABLE} {each.name}\n" for each in some)


def put(wanted: Wanted) -> str:
    """Makes each end `left` seconds from now, whatever is in the set.

    Adding what is there doesn't move its end on older kernels, and deleting what isn't there fails the transaction.
    """
    return taken_out(wanted) + _for_each_set(
        "add", [(place.set, f"{place.address}{_timeout(left)}") for place, left in wanted.items()]
    )


def taken_out(wanted: Wanted) -> str:
    """Ends each, in force or not."""
    members = [(place.set, place.address) for place in wanted]
    return _for_each_set("add", members) + _for_each_set("delete", members)


def _for_each_set(verb: str, members: Iterable[tuple[Set, str]]) -> str:
    """One command a set: a thousand elements in one take half the time of a thousand commands."""
    of_set: dict[Set, list[str]] = {}
    for each, member in members:
        of_set.setdefault(each, []).append(member)
    return "".join(
        f"{verb} element inet {TABLE} {each.name} {{ {', '.join(some)} }}\n" for each, some in of_set.items()
    )


def _timeout(left: float | None) -> str:
    """As nft wants it: whole milliseconds and never none of them, because `0ms` is for ever.

    In days, seconds and milliseconds, because nft takes no number of more than eight digits: 28 hours in milliseconds.
    """
    if left is None:
        return ""
    milliseconds = int(min(max(0.001, left), LONGEST) * 1_000)
    seconds, milliseconds = divmod(milliseconds, 1_000)
    days, seconds = divmod(seconds, 86_400)
    return f" timeout {days}d{seconds}s{milliseconds}ms"
