"""What this host is: its boot, its name, its addresses, and whom it must never block lest it locks itself out.

The rule it keeps: single addresses only, never a prefix, so that an attacker in the same network can be blocked.
"""

import ctypes
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from shared.targets import Allowlist, parse_network, zone_free

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
ROUTES4, ROUTES6 = Path("/proc/thread-self/net/route"), Path("/proc/thread-self/net/ipv6_route")
# The second is where systemd-resolved names the servers behind its stub on loopback.
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
LOOPBACK = ("127.0.0.1", "::1")

log = structlog.get_logger()


def boot_id() -> str:
    """Another one after each boot (random(4))."""
    return BOOT_ID.read_text().strip()


def hostname() -> str:
    """The host's own name, as it calls itself."""
    return socket.gethostname()


def own_addresses() -> list[str]:
    """The addresses of all interfaces, without zones, loopback left out. Raises OSError."""
    found = dict.fromkeys(_interface_addresses())
    return [address for address in found if not parse_network(address).is_loopback]


def protected(broker: Iterable[str]) -> Allowlist:
    """Whom this host must not block, each with the reason. `broker`: its addresses, as `BrokerAddresses` knows them.

    Reads everything anew in 0.3 ms and asks no resolver, so it may be called before every batch. Raises OSError.
    """
    reasons = (
        (LOOPBACK, "loopback"),
        (own_addresses(), "this host's own address"),
        (default_gateways(), "a default gateway"),
        (resolvers(), "a name server"),
        (broker, "the broker"),
    )
    everything = Allowlist()
    for addresses, because in reasons:
        everything |= Allowlist.of(addresses, because)
    return everything


def default_gateways() -> list[str]:
    """Where packets for everybody else go, IPv4 and IPv6 (proc(5): /proc/net/route; the kernel's ipv6_route)."""
    return list(dict.fromkeys([*_gateways4(_lines(ROUTES4)), *_gateways6(_lines(ROUTES6))]))


def resolvers(files: Sequence[Path] = RESOLVERS) -> list[str]:
    """The name servers in use (resolv.conf(5)). What is no address there is skipped."""
    words = [line.split() for path in files for line in _lines(path)]
    named = [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"]
    return list(dict.fromkeys(address for each in named if (address := _address(each))))


def _gateways4(lines: Iterable[str]) -> Iterator[str]:
    for _, destination, gateway, _, _, _, _, mask, *_ in map(str.split, list(lines)[1:]):
        if int(destination, 16) == int(mask, 16) == 0 and int(gateway, 16):
            yield str(IPv4Address(struct.pack("=I", int(gateway, 16))))  # as it lies in memory


def _gateways6(lines: Iterable[str]) -> Iterator[str]:
    for destination, length, _, _, gateway, *_ in map(str.split, lines):
        if int(destination, 16) == int(length, 16) == 0 and int(gateway, 16):
            yield str(IPv6Address(bytes.fromhex(gateway)))


def _lines(path: Path) -> list[str]:
    """None where there is no such file: a kernel without IPv6, a host without a resolver."""
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _address(text: str) -> str:
    try:
        return zone_free(text)
    except ValueError:
        return ""


def _host_of(url: str) -> str:
    """An AMQP URL without a host means this one, and then there is nothing to protect that isn't already."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _addresses_of(name: str) -> list[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(zone_free(str(address[0])) for *_, address in found))


class BrokerAddresses:
    """Where the broker's names lead. `look_up` blocks as long as the resolver does, so it belongs into a thread.

    What a name led to stays until it leads elsewhere: while the resolver is away, the broker is still protected.
    """

    def __init__(self, urls: Sequence[str], resolve: Callable[[str], Iterable[str]] = _addresses_of) -> None:
        self._names = sorted({name for url in urls if (name := _host_of(url))})
        self._resolve = resolve
        self._known: dict[str, tuple[str, ...]] = {}

    def look_up(self) -> None:
        """Asks for every name. One that doesn't resolve is told in the log and keeps what it led to before."""
        for name in self._names:
            try:
                self._known[name] = tuple(self._resolve(name))
            except (OSError, UnicodeError) as error:
                log.warning(
                    "the broker's name doesn't resolve, so its addresses can't be protected",
                    name=name,
                    problem=str(error),
                )

    def known(self) -> list[str]:
        """Every address found so far."""
        return [address for addresses in self._known.values() for address in addresses]


class _Interface(ctypes.Structure):
    """`struct ifaddrs` of getifaddrs(3), as far as it is needed."""


_Pointer = ctypes.POINTER(_Interface)
_Interface._fields_ = [
    ("next", _Pointer),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
]


def _interface_addresses() -> Iterator[str]:
    library = ctypes.CDLL(None, use_errno=True)
    first = _Pointer()
    if library.getifaddrs(ctypes.byref(first)):
        raise OSError(ctypes.get_errno(), "getifaddrs failed")
    try:
        each = first
        while each:
            yield from _socket_address(each.contents.address)
            each = each.contents.next
    finally:
        library.freeifaddrs(first)


def _socket_address(at: int | None) -> Iterator[str]:
    """`struct sockaddr_in` has the address after 4 bytes, `sockaddr_in6` after 8 (ip(7), ipv6(7))."""
    family = ctypes.c_uint16.from_address(at).value if at else socket.AF_UNSPEC
    if at and family == socket.AF_INET:
        yield str(IPv4Address(ctypes.string_at(at + 4, 4)))
    if at and family == socket.AF_INET6:
        yield str(IPv6Address(ctypes.string_at(at + 8, 16)))
