"""Routes to nowhere on Linux, by ip(8): blackholes in a table of our own, which a rule looks into before all others.

The rule it keeps: nobody's routes are replaced, and none of them is taken for ours. In the main table a blackhole for
what has a route already is refused, or loses to it by its metric (ip-route(8)); in a table of its own it does neither.

A batch (`ip -batch`) of 1,000 takes 6 ms, each of them alone 2 ms. It ends with the first line that the kernel doesn't
acknowledge; so what it says is done isn't read back: one route of 10,000 would be looked for for 9 ms.
"""

import errno
import os
from collections.abc import Sequence

from agent.actions.route_null.route_news import RouteNews
from agent.actions.tools.families import families, key_of
from agent.actions.tools.halves import in_halves
from agent.actions.tools.problems import Problems
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError, ToolHangs

TABLE = 8484
PROTOCOL = 84  # of routes: who made them; below 4 the kernel, above it whoever likes (ip-route(8))
NOBODYS = "127.255.255.254"  # no block can mean loopback
FIRST = 1  # of rules, after `local`, 0, so that this host always reaches itself; others have theirs at 10, 20, …
RULE = f"pref {FIRST} lookup {TABLE}"
SHOW_RULE = f"rule show table {TABLE}"
# `table all`, because it is an error to ask for a table that has never had a route.
SHOW_ROUTES = f"route show table all type blackhole proto {PROTOCOL}"
RULE_LISTED = f"{FIRST}:\tfrom all lookup {TABLE}"


class LinuxRoutes:
    """Implements `Routes`."""

    backend = "ip route"

    def __init__(self, tools: Tools = Tools()) -> None:
        self._ip, self._news = Tool("ip", tools), RouteNews()

    def families(self) -> tuple[int, ...]:
        return families()

    def check(self) -> None:
        """Anybody may list; so it also takes away a route that nobody has."""
        self._ip.run("-4", "rule", "show", "table", str(TABLE))
        try:
            self._ip.run("-4", "route", "del", *_route(NOBODYS).split())
        except ActionError as error:
            if isinstance(error, ToolHangs) or os.strerror(errno.EPERM) in str(error):
                raise

    def listed(self, version: int) -> set[str]:
        """None without the rule: then nobody looks into the table."""
        lines = self._batch(version, [SHOW_RULE, SHOW_ROUTES])
        return self._names(version, lines) if any(map(_is_ours, lines)) else set()

    def put(self, version: int, names: Sequence[str]) -> Problems:
        def add(some: Sequence[str]) -> None:
            lines = self._batch(version, [*(f"route replace {_route(name)}" for name in some), SHOW_RULE])
            if not any(map(_is_ours, lines)):
                self._batch(version, [f"rule add {RULE}"])

        return in_halves(names, add)

    def take(self, version: int, names: Sequence[str]) -> Problems:
        """With or without the rule, so that nothing is in force once more when that comes back."""

        def delete(some: Sequence[str]) -> None:
            self._batch(version, [f"route del {_route(name)}" for name in some])

        try:
            delete(names)
        except ToolHangs:
            raise
        except ActionError:  # as with one that isn't there
            there = self._names(version, self._batch(version, [SHOW_ROUTES]))
            failed = in_halves([name for name in names if name in there], delete)
            # a line before the bad one was carried out, and can't be a second time
            left = self._names(version, self._batch(version, [SHOW_ROUTES])) if failed else ()
            return {name: words for name, words in failed.items() if name in left}
        return {}

    def moved(self) -> bool:
        return self._news.heard()

    def _batch(self, version: int, lines: Sequence[str]) -> list[str]:
        """What is printed. The kernel has acknowledged all of it, line by line: what it refuses ends the batch."""
        said = "".join(f"{line}\n" for line in lines)
        return self._ip.run(f"-{version}", "-batch", "-", said=said).splitlines()

    def _names(self, version: int, lines: Sequence[str]) -> set[str]:
        """Of the routes in our table."""
        shown = (line.split() for line in lines if line.startswith("blackhole "))
        return {key_of(version, words[1]) for words in shown if str(TABLE) in words} - {""}


def _is_ours(rule: str) -> bool:
    return rule.startswith(RULE_LISTED)


def _route(name: str) -> str:
    return f"blackhole {name} table {TABLE} proto {PROTOCOL}"
