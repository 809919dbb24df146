"""Blocking by ipfw, FreeBSD's own packet filter: a table and two rules, which are made once.

The rule it keeps: nothing is deleted but members of our own table. Both rules have the first number, so that they come
before whatever lets packets in, and before states. Facts are from ipfw(8); named tables are there since FreeBSD 11.
"""

from collections.abc import Callable, Sequence

from agent.actions.firewall_drop.address_list import AddressList, keys_of
from agent.actions.tools.halves import in_halves
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.problems import Problems
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError

TABLE = "thwart"
NUMBER = 1  # several rules may share one; the later come after the earlier
RULES = (f"deny ip from table({TABLE}) to any", f"deny ip from any to table({TABLE})")
EVERYTHING = ("allow ip from any to any", "allow ip from any to any in")
SWITCHES = ("net.inet.ip.fw.enable", "net.inet6.ip6.fw.enable")
NO_TABLE = "No such process"  # ESRCH, as the kernel says it of a table that isn't there


def added(keys: Sequence[str]) -> list[str]:
    """The arguments that put `keys` into the table. Each with a value: without, ipfw takes the second address for the
    value of the first. With -q what is there already is no error.
    """
    return ["-q", "table", TABLE, "add", *(word for key in keys for word in (key, "0"))]


def deleted(keys: Sequence[str]) -> list[str]:
    """The arguments that take `keys` out of the table. With -q what isn't there is no error."""
    return ["-q", "table", TABLE, "delete", *keys]


def missing(listing: str) -> list[str]:
    """Which of our rules aren't among those of `ipfw list` before one that lets everything in."""
    wanted = [*RULES]
    for line in listing.splitlines():
        number, _, rule = line.partition("//")[0].strip().partition(" ")
        if rule in EVERYTHING:
            break
        if number.isdecimal() and int(number) == NUMBER and rule in wanted:
            wanted.remove(rule)
    return wanted


class Ipfw(AddressList):
    """Implements `Action`."""

    name = "ipfw"
    backend = "ipfw"

    def __init__(self, tools: Tools = Tools(), lookout: Lookout | None = None) -> None:
        super().__init__(lookout or Lookout())
        self._ipfw, self._sysctl = Tool("ipfw", tools), Tool("sysctl", tools)

    def prepare(self) -> None:
        if not self._is_enabled():
            raise ActionError(f"ipfw: not enabled; `sysctl {'=1 '.join(SWITCHES)}=1` enables it")
        rules = self._missing()
        if not rules:  # then the table is there, too: one that a rule uses can't be destroyed
            return
        if self._listed() is None:
            self._ipfw.run("-q", "table", TABLE, "create", "type", "addr")
        for rule in rules:
            self._ipfw.run("-q", "add", str(NUMBER), *rule.split())
        if self._missing():
            raise ActionError(f"ipfw: a rule before ours lets everything in; give it a number above {NUMBER}")

    def _counts(self) -> bool:
        return self._is_enabled() and not self._missing()

    def _is_enabled(self) -> bool:
        """Both families. A kernel without ipfw has no such switch."""
        try:
            return self._sysctl.run("-n", *SWITCHES).split() == ["1"] * len(SWITCHES)
        except ActionError as error:
            if "unknown oid" in str(error):
                raise ActionError(f"ipfw: not loaded; `service ipfw onestart` loads it ({error})") from error
            raise

    def _missing(self) -> list[str]:
        return missing(self._ipfw.run("list"))

    def _members(self) -> set[str]:
        return keys_of(line.split()[0] for line in (self._listed() or "").splitlines())

    def _listed(self) -> str | None:
        """`203.0.113.9/32 0` and so on; None when there is no table."""
        try:
            return self._ipfw.run("table", TABLE, "list")
        except ActionError as error:
            if NO_TABLE in str(error):
                return None
            raise

    def _put(self, keys: Sequence[str]) -> Problems:
        return in_halves(keys, lambda some: self._run(added, some))

    def _take_out(self, keys: Sequence[str]) -> Problems:
        return in_halves(keys, lambda some: self._run(deleted, some))

    def _run(self, arguments: Callable[[Sequence[str]], list[str]], keys: Sequence[str]) -> None:
        """Of none it takes no command; whether the table is there is asked instead."""
        self._ipfw.run(*(arguments(keys) if keys else ["table", TABLE, "info"]))
