"""Blocking by pf, as FreeBSD, OpenBSD and macOS have it: a table and two rules in an anchor of our own.

The rule it keeps: nothing outside of that anchor is touched. So somebody has to call it from the main ruleset, which
is looked at before every block: rules in an anchor that nobody calls drop nothing. Facts are from pfctl(8), pf.conf(5).
"""

import re
import sys
from collections.abc import Sequence
from ipaddress import ip_address

from agent.actions.address_list import AddressList, keys_of
from agent.actions.halves import in_halves
from agent.actions.lookout import Lookout
from agent.actions.tool import Tool, Tools
from shared.errors import ActionError
from shared.targets import Network, parse_network, text_of

TABLE = "thwart"
# Both ways: what this host begins to talk to an attacker makes a state, by which the answers would get in. `persist`
# and no list of addresses: what is in the table stays in it when the rules are loaded once more.
RULES = f"""\
table <{TABLE}> persist
block drop quick from <{TABLE}> to any
block drop quick from any to <{TABLE}>
"""
FEW = 2  # addresses for which connections are ended unseen, by two calls each; for more, states are listed first
EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}

_BLOCKS = frozenset(line for line in RULES.splitlines() if line.startswith("block"))
_CALL = re.compile(r'anchor "([^"]*)".*\{')
_LETS_ALL_IN = re.compile(r"pass (?:in )?quick (?:all|from any to any)\b")
_NO_TABLE = "Table does not exist"
_HOST = re.compile(r"[\da-f:.]*[.:][\da-f:.]*")


def default_anchor(system: str = sys.platform) -> str:
    """macOS' own pf.conf calls whatever is below com.apple, so that nobody has to edit it."""
    return "com.apple/thwart" if system == "darwin" else "thwart"


def on_table(anchor: str, command: str, keys: Sequence[str] = ()) -> list[str]:
    """The arguments for `add`, `delete` and `show`. The first makes the table, and what is there already, or isn't, is
    no error. Addresses are arguments, because not every pfctl reads them from standard input.
    """
    return ["-q", "-a", anchor, "-t", TABLE, "-T", command, *keys]


def endings(key: str) -> list[list[str]]:
    """The arguments that end connections which `key` has begun, and those that were begun with it."""
    return [["-q", "-k", key], ["-q", "-k", EVERYTHING[6 if ":" in key else 4], "-k", key]]


def called(rules: str, anchor: str) -> set[str]:
    """The rules of `anchor`, as far as packets come to it: `pfctl -a '*' -s rules` prints the main ruleset, each anchor
    that it calls opened where it is called. `anchor "x/*"` calls all that are right below x.
    """
    names: list[str] = []
    found: set[str] = set()
    for line in map(str.strip, rules.splitlines()):
        opens = _CALL.match(line)
        if opens:
            names.append(opens[1])
        elif line == "}" and names:
            names.pop()
        elif "/".join(names).replace("*/", "") == anchor:
            found.add(line)
        elif _LETS_ALL_IN.match(line):
            break
    return found


def with_states(keys: Sequence[str], states: str) -> list[str]:
    """Those of `keys` that have a connection among these, as `pfctl -s states` prints them."""
    hosts = keys_of(_hosts(states))
    networks = [parse_network(key) for key in keys if "/" in key]
    inside = {text_of(one) for one in networks if any(_is_in(host, one) for host in hosts)}
    return [key for key in keys if key in hosts or key in inside]


class Pf(AddressList):
    """Implements `Action`."""

    name = "pf"
    backend = "pf"

    def __init__(self, anchor: str = "", tools: Tools = Tools(), lookout: Lookout | None = None) -> None:
        """`anchor` as the settings have it; empty: the usual one of this system."""
        super().__init__(lookout or Lookout())
        self._anchor = anchor or default_anchor()
        self._pfctl = Tool("pfctl", tools)

    def prepare(self) -> None:
        if not self._is_enabled():
            raise ActionError("pf: not enabled; `pfctl -e` enables it")
        if self._rules() >= _BLOCKS:
            return
        # Also when nobody seems to call it: a call of all that is below x shows nothing that isn't there.
        self._pfctl.run("-q", "-a", self._anchor, "-f", "-", said=RULES)
        if not self._rules() >= _BLOCKS:
            raise ActionError(
                f'pf: no rule calls the anchor {self._anchor}: write `anchor "{self._anchor}"` before the other rules'
                " in /etc/pf.conf, then `pfctl -f /etc/pf.conf`"
            )

    def _counts(self) -> bool:
        return self._is_enabled() and self._rules() >= _BLOCKS

    def _is_enabled(self) -> bool:
        return "Status: Enabled" in self._pfctl.run("-s", "info")

    def _rules(self) -> set[str]:
        return called(self._pfctl.run("-a", "*", "-s", "rules"), self._anchor)

    def _members(self) -> set[str]:
        try:
            listed = self._pfctl.run(*on_table(self._anchor, "show"))
        except ActionError as error:
            if _NO_TABLE in str(error):
                return set()
            raise
        return keys_of(listed.split())

    def _put(self, keys: Sequence[str]) -> dict[str, str]:
        failed = self._on_table("add", keys)
        return failed | self._end_connections([key for key in keys if key not in failed])

    def _take_out(self, keys: Sequence[str]) -> dict[str, str]:
        return self._on_table("delete", keys)

    def _on_table(self, command: str, keys: Sequence[str]) -> dict[str, str]:
        def all_at_once(some: Sequence[str]) -> None:
            self._pfctl.run(*on_table(self._anchor, command, some))

        return in_halves(keys, all_at_once)

    def _end_connections(self, keys: Sequence[str]) -> dict[str, str]:
        """What has a state is let through without a look at any rule."""
        if len(keys) > FEW:
            keys = with_states(keys, self._pfctl.run("-s", "states"))
        problems: dict[str, str] = {}
        for key in keys:
            try:
                for arguments in endings(key):
                    self._pfctl.run(*arguments)
            except ActionError as error:
                problems[key] = f"it is blocked, but its open connections go on: {error}"
        return problems


def _hosts(states: str) -> set[str]:
    """Both ends of each connection: `203.0.113.9:51234`, `2001:db8::9[51234]`, in brackets what is behind a NAT."""
    words = {word.strip("()") for word in states.split()}
    hosts = {word.partition(":" if word.count(":") == 1 else "[")[0] for word in words}
    return {host for host in hosts if _HOST.fullmatch(host)}


def _is_in(host: str, network: Network) -> bool:
    address = ip_address(host)
    return address.version == network.version and address in network
