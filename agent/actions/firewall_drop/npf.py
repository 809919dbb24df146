"""Blocking by npf, NetBSD's packet filter: a table for hosts and a dynamic ruleset for networks, both in npf.conf.

The rule it keeps: a table of type `ipset`, never `lpm`. Of one that takes networks, too, npf removes whatever holds the
address that is to go, and refuses what lies in another: a host's lift would be its network's. npfctl(8) can make
neither tables nor rulesets, nor end a connection: what was let in by a `stateful` rule goes on until it is over.
Facts are from npfctl(8), npf.conf(5), and its source (npf_tableset.c).
"""

import re
from collections.abc import Mapping, Sequence

from agent.actions.firewall_drop.address_list import AddressList, keys_of
from agent.actions.tools.halves import in_halves
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.problems import Problems, one_by_one
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError

NAME = "thwart"  # of the table and of the ruleset
FEW = 2  # hosts for which a call each is made; for more, the table is replaced by one that has them, too
ENDS = {"in": "from", "out": "to"}  # which end of a packet that way is the one that is blocked
LINES: Mapping[str, str] = {  # of npf.conf, and how `npfctl show` has them
    f"table <{NAME}> type ipset": rf"table <{NAME}> type (ipset|hash)",
    f'ruleset "{NAME}"': rf'ruleset "{NAME}" ',
    **{
        f"block {way} final {end} <{NAME}>": rf"block (return\S* )?({way} )?final (on \S+ )?{end} <{NAME}>( #|$)"
        for way, end in ENDS.items()
    },
}

_RULE = re.compile(
    r'block (?:(in) final (?:family \S+ )?from|(out) final (?:family \S+ )?to) ([\da-f.:]+/\d+) # id ?= ?"([\da-f]+)"'
)
_ABSENT = ("table ID", f'ruleset "{NAME}" not found')

Rules = dict[tuple[str, str], list[str]]  # the ids of those that block a network, by direction and key


def on_table(command: str, key: str) -> list[str]:
    """The arguments for `add` and `rem`: one address at a time."""
    return ["table", NAME, command, key]


def lacking(shown: str) -> list[str]:
    """Which lines of npf.conf aren't in force, by what `npfctl show` prints."""
    lines = [line.strip() for line in shown.splitlines()]
    return [wanted for wanted, told in LINES.items() if not any(re.match(told, line) for line in lines)]


def rules_in(listing: str) -> Rules:
    """Those of `npfctl rule … list` that block networks. There may be two alike: npf doesn't mind."""
    rules: Rules = {}
    for inwards, outwards, network, number in _RULE.findall(listing):
        rules.setdefault((inwards or outwards, *keys_of([network])), []).append(number)
    return rules


class Npf(AddressList):
    """Implements `Action`."""

    name = "npf"
    backend = "npf"

    def __init__(self, tools: Tools = Tools(), lookout: Lookout | None = None) -> None:
        super().__init__(lookout or Lookout())
        self._npfctl = Tool("npfctl", tools)

    def prepare(self) -> None:
        """Nothing can be made here, only looked for."""
        shown = self._npfctl.run("show")
        if not _is_active(shown):
            raise ActionError("npf: not active; `npfctl start` starts it")
        if absent := lacking(shown):
            raise ActionError(
                f"npf: not in /etc/npf.conf: {', '.join(f'`{line}`' for line in absent)}; a table belongs before all"
                " groups, the rest at the head of each, then `npfctl reload`"
            )

    def _counts(self) -> bool:
        shown = self._npfctl.run("show")
        return _is_active(shown) and not lacking(shown)

    def _members(self) -> set[str]:
        rules = self._rules()
        networks = {key for _, key in rules}
        return self._hosts() | {key for key in networks if all((way, key) in rules for way in ENDS)}

    def _hosts(self) -> set[str]:
        return keys_of(self._told("table", NAME, "list").split())

    def _rules(self) -> Rules:
        return rules_in(self._told("rule", NAME, "list"))

    def _told(self, *arguments: str) -> str:
        """Nothing when there is no such table or ruleset."""
        try:
            return self._npfctl.run(*arguments)
        except ActionError as error:
            if any(words in str(error) for words in _ABSENT):
                return ""
            raise

    def _put(self, keys: Sequence[str]) -> Problems:
        there, rules = self._hosts(), self._rules()
        hosts = [key for key in keys if "/" not in key and key not in there]
        commands = (
            (key, ["rule", NAME, "add", "block", way, "final", end, key])
            for key in keys
            for way, end in ENDS.items()
            if "/" in key and (way, key) not in rules
        )
        return self._on_table("add", hosts, there) | one_by_one(self._npfctl.run, commands)

    def _take_out(self, keys: Sequence[str]) -> Problems:
        there, rules = self._hosts(), self._rules()
        hosts = [key for key in keys if key in there]
        commands = (
            (key, ["rule", NAME, "rem-id", number])
            for key in keys
            for way in ENDS
            for number in rules.get((way, key), ())
        )
        return self._on_table("rem", hosts, there) | one_by_one(self._npfctl.run, commands)

    def _on_table(self, command: str, hosts: Sequence[str], there: set[str]) -> Problems:
        if len(hosts) > FEW:
            failed = in_halves(hosts, lambda some: self._replace(command, some, there))
            if len(failed) < len(hosts):
                return failed  # else it may be an npfctl that can't do it: NetBSD has had `replace` since 9.1
        return one_by_one(self._npfctl.run, ((host, on_table(command, host)) for host in hosts))

    def _replace(self, command: str, some: Sequence[str], there: set[str]) -> None:
        after = there.union(some) if command == "add" else there.difference(some)
        self._npfctl.run("table", NAME, "replace", "-", said="".join(f"{host}\n" for host in sorted(after)))
        there ^= after ^ there


def _is_active(shown: str) -> bool:
    return re.search(r"^# filtering:\s*active$", shown, re.MULTILINE) is not None
