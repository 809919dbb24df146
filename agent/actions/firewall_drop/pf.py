"""Blocking by pf, as FreeBSD, OpenBSD and macOS have it: a table and two rules in an anchor of our own.

The rule it keeps: nothing outside of that anchor is touched. So somebody has to call it from the main ruleset, which
is looked at before every block: rules in an anchor that nobody calls drop nothing. Facts are from pfctl(8), pf.conf(5).
"""

import re
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from itertools import islice

from agent.actions.firewall_drop.address_list import AddressList, keys_of
from agent.actions.tools.halves import in_halves
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.problems import Problems, one_by_one
from agent.actions.tools.tool import Tool, Tools
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
FEW = 2  # addresses whose connections are ended unseen; of more, only those that have one among all that are listed
MOST = 200  # connections that are ended one by one, in half a second; of the rest it is told that they go on
_BLOCKS = frozenset(line for line in RULES.splitlines() if line.startswith("block"))
_CALL = re.compile(r'anchor "([^"]*)"')
_LETS_ALL_IN = re.compile(r"pass (?:in )?quick (?:all|from any to any)\b")
_NUMBER = re.compile(r"\bid: ([\da-f]+) creatorid: ([\da-f]+)")
_NO_TABLE = "Table does not exist"
_NO_PF = "/dev/pf: No such file"
_HOST = re.compile(r"[\da-f:.]*[.:][\da-f:.]*")


def default_anchor(system: str = sys.platform) -> str:
    """macOS' own pf.conf calls whatever is below com.apple, so that nobody has to edit it."""
    return "com.apple/thwart" if system == "darwin" else "thwart"


def on_table(anchor: str, command: str, keys: Sequence[str] = ()) -> list[str]:
    """The arguments for `add`, `delete` and `show`. The first makes the table, and what is there already, or isn't, is
    no error. Addresses are arguments, because not every pfctl reads them from standard input.
    """
    return ["-q", "-a", anchor, "-t", TABLE, "-T", command, *keys]


def ending_all_by(key: str) -> list[str]:
    """The arguments that end whatever `key` has begun. What was begun with it they leave."""
    return ["-q", "-k", key]


def ending_one(number: str) -> list[str]:
    """The arguments that end one connection. `-k 0.0.0.0/0 -k key` would end all that were begun with `key`, but takes
    that for the one that began them in some pfctls of FreeBSD, and ends none.
    """
    return ["-q", "-k", "id", "-k", number]


def called(rules: str, anchor: str) -> set[str]:
    """The rules of `anchor`, as far as packets come to it: `pfctl -a '*' -s rules` prints the main ruleset, each anchor
    that it calls opened where it is called. `anchor "x/*"` calls all that are right below x.
    """
    names: list[str] = []
    found: set[str] = set()
    for line in map(str.strip, rules.splitlines()):
        if line.endswith("{"):
            call = _CALL.match(line)
            names.append(call[1] if call else "a nameless one")
        elif line == "}" and names:
            names.pop()
        elif "/".join(names).replace("*/", "") == anchor:
            found.add(line)
        elif not names and _LETS_ALL_IN.match(line):
            break
    return found


def connections(keys: Sequence[str], states: str) -> dict[str, set[str]]:
    """Those of `keys` that have a connection among these, as `pfctl -s states` prints them; with -vv also the numbers
    of each key's.
    """
    hosts, networks = set(keys), [parse_network(key) for key in keys if "/" in key]
    found: dict[str, set[str]] = {}
    for state in re.split(r"\n(?=\S)", states):
        for end in _ends(state.partition("\n")[0]):
            inside = [text_of(one) for one in networks if _is_in(end, one)]
            for key in [*inside, *hosts.intersection([end])]:
                found.setdefault(key, set()).update("/".join(each) for each in _NUMBER.findall(state))
    return found


class Pf(AddressList):
    """Implements `Action`."""

    name = "pf"
    backend = "pf"

    def __init__(self, anchor: str = "", tools: Tools = Tools(), lookout: Lookout | None = None) -> None:
        """`anchor` as the settings have it; empty: the usual one of this system."""
        super().__init__(lookout or Lookout())
        self.anchor = anchor or default_anchor()
        self._pfctl = Tool("pfctl", tools)

    def prepare(self) -> None:
        if not self._is_enabled():
            raise ActionError("pf: not enabled; `pfctl -e` enables it")
        if self._rules() >= _BLOCKS:
            return
        # Also when nobody seems to call it: a call of all that is below x shows nothing that isn't there.
        self._pfctl.run("-q", "-a", self.anchor, "-f", "-", said=RULES)
        if not self._rules() >= _BLOCKS:
            raise ActionError(
                f'pf: no rule calls the anchor {self.anchor}: write `anchor "{self.anchor}"` before the other rules'
                " in /etc/pf.conf, then `pfctl -f /etc/pf.conf`"
            )

    def _counts(self) -> bool:
        return self._is_enabled() and self._rules() >= _BLOCKS

    def _is_enabled(self) -> bool:
        try:
            return "Status: Enabled" in self._pfctl.run("-s", "info")
        except ActionError as error:
            if _NO_PF in str(error):  # FreeBSD's comes as a module
                raise ActionError(f"pf: not loaded; `service pf onestart` loads it ({error})") from error
            raise

    def _rules(self) -> set[str]:
        return called(self._pfctl.run("-a", "*", "-s", "rules"), self.anchor)

    def _members(self) -> set[str]:
        try:
            listed = self._pfctl.run(*on_table(self.anchor, "show"))
        except ActionError as error:
            if _NO_TABLE in str(error):
                return set()
            raise
        return keys_of(each for each in listed.split() if not each.startswith("!"))  # that is kept out of a network

    def _put(self, keys: Sequence[str]) -> Problems:
        failed = self._on_table("add", keys)
        return failed | self._end_connections([key for key in keys if key not in failed])

    def _take_out(self, keys: Sequence[str]) -> Problems:
        return self._on_table("delete", keys)

    def _on_table(self, command: str, keys: Sequence[str]) -> Problems:
        def all_at_once(some: Sequence[str]) -> None:
            self._pfctl.run(*on_table(self.anchor, command, some))

        return in_halves(keys, all_at_once)

    def _end_connections(self, keys: Sequence[str]) -> Problems:
        """What has a state is let through without a look at any rule."""
        going_on = "it is blocked, but connections that were open go on"
        try:
            if len(keys) > FEW:
                keys = [*self._connections(keys)]
            said = one_by_one(self._pfctl.run, ((key, ending_all_by(key)) for key in keys))
            if self._connections(keys):
                left = self._connections(keys, "-vv")
                commands = ((key, ending_one(number)) for key in left for number in sorted(left[key]))
                said |= one_by_one(self._pfctl.run, islice(commands, MOST))
                return {key: f"{going_on}: {said.get(key, 'pfctl ended none')}" for key in self._connections(keys)}
        except ActionError as error:
            return dict.fromkeys(keys, f"{going_on}: {error}")
        return {}

    def _connections(self, keys: Sequence[str], *more: str) -> dict[str, set[str]]:
        return connections(keys, self._pfctl.run("-s", "states", *more)) if keys else {}


def _ends(state: str) -> set[str]:
    """Of a connection: `203.0.113.9:51234`, `2001:db8::9[51234]`, in brackets what is behind a NAT."""
    words = (word.strip("()") for word in state.split())
    hosts = {word.partition(":" if word.count(":") == 1 else "[")[0] for word in words}
    return {host for host in hosts if _HOST.fullmatch(host)}


def _is_in(host: str, network: Network) -> bool:
    address = ip_address(host)
    return address.version == network.version and address in network
