"""A simulated netstat(1) of FreeBSD 14, OpenBSD 7 and NetBSD 10, as far as it lists routes: `-rn -f inet|inet6`.

From the manual pages: the columns and the letters of flags. From the sources (route.c, show.c): that OpenBSD and NetBSD
leave out the octets of a network that its length makes zeros, and how wide the columns are.
"""

import sys

from tests.stage.simulators import routes
from tests.stage.simulators.host import fail, load, options

HEADINGS = {
    "FreeBSD": ("Flags", "Netif Expire"),
    "OpenBSD": ("Flags", "Refs      Use   Mtu  Prio Iface"),
    "NetBSD": ("Flags", "Refs      Use    Mtu Interface"),
}
BEHIND = {"FreeBSD": "lo0", "OpenBSD": "0        0 32768     8 lo0", "NetBSD": "-        -  33624  lo0"}
WIDTHS = {"inet": (18, 18), "inet6": (34, 30)}


def main(arguments: list[str]) -> None:
    """Prints what they ask for, and exits."""
    try:
        found, rest = options(arguments, "rnf:W")
    except ValueError as error:
        fail(f"netstat: {error}", 1)
    said = dict(found)
    family = said.get("f", "")
    if rest or not {"r", "n"} <= said.keys() or family not in WIDTHS:
        fail("netstat: only -rn -f inet|inet6 is simulated", 99)
    kept = routes.of(load())
    system, widths = kept["system"], WIDTHS[family]
    flags, behind = HEADINGS[system]
    lines = ["Routing tables", "", "Internet:" if family == "inet" else "Internet6:"]
    lines.append(_line(widths, "Destination", "Gateway", flags, behind))
    for destination, gateway, some in kept["table"]:
        if (":" in destination) == (family == "inet6"):
            lines.append(_line(widths, _named(destination, system), gateway, some, BEHIND[system]))
    print("\n".join(lines))
    sys.exit(0)


def _line(widths: tuple[int, int], destination: str, gateway: str, flags: str, behind: str) -> str:
    return f"{destination:<{widths[0]}} {gateway:<{widths[1]}} {flags:<6} {behind}"


def _named(destination: str, system: str) -> str:
    address, slash, length = destination.partition("/")
    if slash and length == "0":
        return "default"
    if system == "FreeBSD" or ":" in address or not slash:
        return destination
    octets = max(1, (int(length) + 7) // 8)
    return f"{'.'.join(address.split('.')[:octets])}/{length}"
