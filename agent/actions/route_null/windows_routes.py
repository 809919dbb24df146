"""Routes to nowhere on Windows, by `netsh interface`: over the loopback interface, which hands on nothing.

Routes have no owner there; ours are those over the loopback interface with a metric that Windows gives none of its own.
They last until the next start (`store=active`). What netsh says is in the host's language, so that only numbers and
addresses are read from it. Facts are from Microsoft's pages on `netsh interface ipv4 add route` and `netsh`.

The rule it keeps: nobody's route is touched, and what has one already isn't blocked: which of two is taken goes by the
metrics of both interfaces.
"""

import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from agent.actions.route_null.by_listing import ByListing
from agent.actions.tools.families import key_of
from agent.actions.tools.places import with_length
from agent.actions.tools.problems import Problems
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError, InvalidTarget, ToolHangs
from shared.targets import normalise_address

FAMILIES = {4: "ipv4", 6: "ipv6"}
OWN = {4: "127.0.0.0/8", 6: "::1/128"}  # what every loopback interface has a route for
METRIC = 1
FEW = 2  # that are changed one by one; more by a script, since each start of netsh takes a tenth of a second

_ROUTE = re.compile(r"\s(\d+)\s+([0-9A-Fa-f.:]+/\d+)\s+(\d+)\s+(\S.*?)\s*$", re.MULTILINE)


class Listed(Struct, frozen=True):
    """A route as netsh lists it."""

    prefix: str
    metric: int
    interface: int
    by: str  # the gateway, or the interface's name


class WindowsRoutes(ByListing):
    """Implements `Routes`."""

    backend = "netsh route"

    def __init__(self, tools: Tools = Tools()) -> None:
        self._netsh = Tool("netsh", tools)
        self._seen: dict[int, list[Listed]] = {}  # at the last look, which comes before each change

    def check(self) -> None:
        self._netsh.find()
        _loopback(self._all(4), 4)

    def listed(self, version: int) -> set[str]:
        return {name for each in self._ours(version) if (name := _name(each, version))}

    def _add(self, version: int, names: Sequence[str]) -> Problems:
        routes = self._seen[version]
        loopback = _loopback(routes, version)
        others = {_name(each, version): each.by for each in routes}
        taken = {name: f"netsh: there is a route already, by {others[name]}" for name in names if name in others}
        new = {name: adding(version, name, loopback) for name in names if name not in taken}
        return taken | self._each(version, new, there=True)

    def _delete(self, version: int, names: Sequence[str]) -> Problems:
        loopback = _loopback(self._seen[version], version)
        return self._each(version, {name: deleting(version, name, loopback) for name in names}, there=False)

    def _all(self, version: int) -> list[Listed]:
        self._seen[version] = parsed(self._netsh.run(*listing(version)))
        return self._seen[version]

    def _ours(self, version: int) -> list[Listed]:
        routes = self._all(version)
        own = [each.interface for each in routes if each.prefix == OWN[version]]
        return [each for each in routes if each.interface in own and each.metric == METRIC]

    def _each(self, version: int, commands: dict[str, list[str]], *, there: bool) -> Problems:
        """What failed, with netsh's words. A script says nothing of each line that anybody could read, so that what it
        has left undone is tried once more by itself; when not even the first of all can be, no other.
        """
        left = list(commands)
        if len(left) > FEW:
            self._script(commands.values())
            listed = self.listed(version)
            left = [name for name in left if (name in listed) != there]
        failed: Problems = {}
        for name in left:
            try:
                self._netsh.run(*commands[name])
            except ActionError as error:
                failed[name] = str(error)
                hopeless = name == left[0] and len(left) == len(commands) > FEW
                if hopeless or isinstance(error, ToolHangs):
                    return failed | dict.fromkeys(left[left.index(name) :], str(error))
        return failed

    def _script(self, commands: Collection[Sequence[str]]) -> None:
        with _file("".join(f"{' '.join(each)}\n" for each in commands)) as path:
            self._netsh.run("-f", str(path), good=(0, 1))


def listing(version: int) -> list[str]:
    """The arguments that list one family's."""
    return ["interface", FAMILIES[version], "show", "route", "store=active"]


def adding(version: int, name: str, interface: int) -> list[str]:
    """The arguments that add one. Without a next hop it is the interface alone."""
    where = [f"prefix={with_length(name)}", f"interface={interface}"]
    return ["interface", FAMILIES[version], "add", "route", *where, f"metric={METRIC}", "store=active"]


def deleting(version: int, name: str, interface: int) -> list[str]:
    """The arguments that delete one."""
    where = [f"prefix={with_length(name)}", f"interface={interface}"]
    return ["interface", FAMILIES[version], "delete", "route", *where, "store=active"]


def parsed(text: str) -> list[Listed]:
    """The routes of a listing, whose columns are two words, the metric, the prefix, the interface, and by what."""
    return [Listed(prefix.lower(), int(metric), int(index), by) for metric, prefix, index, by in _ROUTE.findall(text)]


def _loopback(routes: Sequence[Listed], version: int) -> int:
    """The number of the loopback interface. Raises ActionError."""
    for each in routes:
        if each.prefix == OWN[version]:
            return each.interface
    raise ActionError(f"netsh: no loopback interface has a route for {OWN[version]}: {FAMILIES[version]} is off here")


def _name(route: Listed, version: int) -> str:
    """As a block of it is called; empty for what no block can mean."""
    try:
        return normalise_address(key_of(version, route.prefix))
    except InvalidTarget:
        return ""


@contextmanager
def _file(text: str) -> Iterator[Path]:
    """A file with that in it, for as long as it is needed. Raises ActionError."""
    try:
        with tempfile.TemporaryDirectory(prefix="thwart-") as folder:
            path = Path(folder, "commands.netsh")
            path.write_text(text, encoding="ascii")
            yield path
    except OSError as error:
        raise ActionError(f"no script can be written for netsh: {error.strerror}") from error
