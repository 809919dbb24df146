"""Routes to nowhere on FreeBSD, OpenBSD and NetBSD, by route(8) and netstat(1).

A blackhole leads to the loopback address, whose interface drops what is marked so (FreeBSD's route(8), BUGS). Routes
have no owner there; ours bear the flag that is left to protocols, number 2: number 1 is what routing daemons take.
There are no batches: each takes a process of its own.

The rule it keeps: nobody's route is touched, and what has one already isn't blocked. FreeBSD would take ours for a
second path to there, and let half of the connections through.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.actions.route_null.by_listing import ByListing
from agent.actions.tools.families import key_of
from agent.actions.tools.problems import Problems, one_by_one
from agent.actions.tools.tool import Tool, Tools

SYSTEMS = ("FreeBSD", "OpenBSD", "NetBSD")
NOWHERE = {4: "127.0.0.1", 6: "::1"}
FAMILIES = {4: "inet", 6: "inet6"}
MARKS = ("-blackhole", "-proto2")
FLAGS = frozenset("B2")  # as netstat(1) shows them


class Listed(Struct, frozen=True):
    """A route as netstat lists it."""

    name: str
    gateway: str
    ours: bool


class BsdRoutes(ByListing):
    """Implements `Routes`."""

    backend = "route"

    def __init__(self, tools: Tools = Tools()) -> None:
        self._route, self._netstat = Tool("route", tools), Tool("netstat", tools)

    def check(self) -> None:
        self._route.find()
        self._netstat.run(*listing(4))

    def listed(self, version: int) -> set[str]:
        return {each.name for each in self._all(version) if each.ours}

    def _add(self, version: int, names: Sequence[str]) -> Problems:
        others = {each.name: each.gateway for each in self._all(version) if not each.ours}
        taken = {name: f"route: there is one already, by {others[name]}" for name in names if name in others}
        return taken | self._each(version, "add", [name for name in names if name not in taken])

    def _delete(self, version: int, names: Sequence[str]) -> Problems:
        return self._each(version, "delete", names)

    def _all(self, version: int) -> list[Listed]:
        return parsed(self._netstat.run(*listing(version)), version)

    def _each(self, version: int, command: str, names: Sequence[str]) -> Problems:
        return one_by_one(self._route.run, ((name, changing(version, command, name)) for name in names))


def listing(version: int) -> list[str]:
    """netstat's arguments: routes, with numbers for names, of one family."""
    return ["-rn", "-f", FAMILIES[version]]


def changing(version: int, command: str, name: str) -> list[str]:
    """route's arguments. The gateway also with `delete`, so that another path to there stays."""
    address, _, length = name.partition("/")
    if not length:
        target = ["-host", address]
    elif version == 4:
        target = ["-net", name]
    else:
        target = ["-net", address, "-prefixlen", length]
    return ["-n", command, f"-{FAMILIES[version]}", *target, NOWHERE[version], *(MARKS if command == "add" else ())]


def parsed(text: str, version: int) -> list[Listed]:
    """The routes of a listing, but for those to what is no address or network in general: link-local, the default.

    The columns are destination, gateway, flags, and others that differ from system to system.
    """
    found = []
    for line in text.splitlines():
        columns = line.split()
        if len(columns) >= 3 and (name := _name(columns[0], version)):
            _, gateway, flags = columns[:3]
            found.append(Listed(name, gateway, set(flags) >= FLAGS and gateway == NOWHERE[version]))
    return found


def _name(destination: str, version: int) -> str:
    """The name in full: OpenBSD and NetBSD write 10/8 for 10.0.0.0/8."""
    address, slash, length = destination.partition("/")
    if not address[:1].isdigit() and ":" not in address:
        return ""  # `default`, a heading
    if version == 4:
        address += ".0" * (3 - address.count("."))
    return key_of(version, f"{address}{slash}{length}")
