"""`firewall-drop` by ipset and iptables: one set for each family, and one rule that drops what is in it.

The sets are `hash:net`: a host is a network of full length there, every network has an end of its own whatever lies in
it, and a packet costs one look for each length in use. The kernel keeps the ends, in whole seconds, for when the agent
is dead; while it lives it ends each in time.

ipset(8): `restore` stops at the first line that fails, `-exist` takes an entry that is there for one whose timeout is
to be set anew, and one that isn't for deleted. A timeout has 2147483 s at most, and 0 is for ever. What `restore` says
is done has been acknowledged by the kernel, entry by entry, so it isn't read back: that would take 8 ms with 10,000.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.actions.firewall_drop.by_chain import ByChain
from agent.actions.firewall_drop.chain import chains
from agent.actions.tools.families import IPV6, Wanted, key_of
from agent.actions.tools.halves import in_halves
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.problems import Problems
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError

CHAIN = "thwart-set"
SETS = {4: "thwart4", 6: "thwart6"}
LONGEST = 2_147_483  # s; what is to stay longer has no end in the kernel

_CREATE = "create {} hash:net family {} timeout 0 maxelem 1048576\n"  # ones that are there must have been made alike
_FAMILY = {4: "inet", 6: "inet6"}
_ENTRY = re.compile(r"add \S+ ([0-9a-f.:/]+) timeout (\d+)")


class Ipset(ByChain):
    """Implements `Action`."""

    backend = "ipset"

    def __init__(self, *, tools: Tools = Tools(), lookout: Lookout | None = None, ipv6: Path = IPV6) -> None:
        super().__init__(chains(CHAIN, _match, tools), lookout, ipv6)
        self._ipset = Tool("ipset", tools)

    def prepare(self) -> None:
        """Both sets are there afterwards, and rules that drop what is in them."""
        self._ipset.find()
        super().prepare()

    def _make(self, version: int) -> None:
        self._change(version, [])
        self._chains[version].bring([_match(version)])

    def _of(self, version: int, rules: Sequence[str]) -> Mapping[str, float | None]:
        """Behind a rule is a set: it can't be destroyed."""
        return _entries(version, self._ipset.run("save", SETS[version])) if rules else {}

    def _put(self, version: int, wanted: Wanted) -> Problems:
        try:
            self._hold(version)
        except ActionError as error:
            return dict.fromkeys(wanted, str(error))
        lines = {each: f"add {SETS[version]} {each} timeout {_timeout(left)}" for each, left in wanted.items()}
        return in_halves(list(wanted), lambda some: self._change(version, [lines[each] for each in some]))

    def _take_out(self, version: int, wanted: Wanted) -> Problems:
        lines = {each: f"del {SETS[version]} {each}" for each in wanted}
        return in_halves(list(wanted), lambda some: self._change(version, [lines[each] for each in some]))

    def _hold(self, version: int) -> None:
        """Makes sure of the rule. Raises ActionError."""
        try:
            if self._chains[version].bring([_match(version)]):
                self._chains[version].surprised = True  # all that was in the set has come into force by it
        except ActionError:  # perhaps because somebody has destroyed the set, and its rule with it
            self._make(version)

    def _change(self, version: int, lines: Sequence[str]) -> None:
        said = _CREATE.format(SETS[version], _FAMILY[version]) + "".join(f"{line}\n" for line in lines)
        self._ipset.run("-exist", "restore", said=said)


def _match(version: int) -> str:
    return f"-m set --match-set {SETS[version]} src"


def _timeout(left: float | None) -> int:
    """Rounded up: the kernel ends nothing before the agent would."""
    seconds = 0 if left is None else max(1, math.ceil(left))
    return seconds if seconds <= LONGEST else 0


def _entries(version: int, saved: str) -> dict[str, float | None]:
    """By what `ipset save` tells; a timeout of 0 is none."""
    found = (_ENTRY.fullmatch(line) for line in saved.splitlines())
    return {key_of(version, each[1]): float(each[2]) or None for each in found if each is not None}
