"""A chain of our own in iptables' filter table, with a jump to it at the head of INPUT and of FORWARD.

The rule it keeps: whatever it says is there was read, rules and jumps, and since then nobody but ourselves has changed
anything; where that isn't sure, it is read back. It changes only what differs, in one `iptables-restore`, which is all
or nothing: no rule is there twice, and none is missing meanwhile.

iptables-restore(8): `-w` waits for the lock that every iptables takes, `--noflush` leaves alone what isn't named. The
exit codes are 1, 2 and 4, the last when somebody held the lock. All is the same with iptables-legacy and iptables-nft.

These two are firewalls of their own, of which a host's `iptables` is one (xtables-nft(8)): neither lists or deletes the
other's rules, and the kernel obeys both. What an earlier run has by the other one is moved here.
"""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import structlog

from agent.actions.firewall_drop.chain_rules import Seen, changes, expected, removal, rules_after, seen
from agent.actions.tools.netlink import Netlink
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError, ToolHangs

PROGRAMS = {4: "iptables", 6: "ip6tables"}
WAIT = ("-w", "5")  # s for the lock; less than a tool may take, so that the words are iptables' own
# Tables of iptables-legacy in use. Only to list one makes it, and then every packet comes through it.
LEGACY = {
    version: Path(f"/proc/thread-self/net/{name}_names") for version, name in {4: "ip_tables", 6: "ip6_tables"}.items()
}

# What keeps who isn't root from it, in the tools' words.
ADVICE = {
    "Can't open socket to ipset": "run the agent as root or with CAP_NET_RAW",
    "can't open lock file": "run the agent as root",
}

log = structlog.get_logger()


class Others:
    """How often others have changed the kernel's rules: by its generation, which every change moves on by one, less our
    own changes. One for both families.
    """

    def __init__(self, tools: Tools) -> None:
        self.ours = 0
        self._iptables, self._netlink = Tool(PROGRAMS[4], tools), Netlink()
        self._by_nft: bool | None = None

    def changes(self) -> int | None:
        """So many; None with iptables-legacy, whose changes nobody counts. Takes 20 µs. Raises ActionError."""
        return self._netlink.generation() - self.ours if self.by_nft() else None

    def by_nft(self) -> bool:
        """Whether this host's `iptables` is iptables-nft. Raises ActionError."""
        if self._by_nft is None:
            self._by_nft = "nf_tables" in self._iptables.run("--version")
        return self._by_nft


class Chain:
    """The chain `name` of one family, whose rules drop what matches; a match is ours when `ours` matches all of it."""

    def __init__(self, name: str, version: int, ours: str, tools: Tools, others: Others) -> None:
        self.surprised = False  # others have changed something that had been read
        self._name = name
        self._rule, self._version = re.compile(f"-A {name} ({ours}) -j DROP"), version
        self._tools, (self._list, self._change) = tools, _programs(version, "", tools)
        self._others = others
        self._seen: Seen | None = None
        self._at: int | None = None  # so many changes of others had been made when it was seen

    def find(self) -> None:
        """Raises ActionError when a program is missing."""
        self._list.find()
        self._change.find()

    def read(self) -> Seen:
        """What is there now. Raises ActionError."""
        self._seen = None
        self._at = self._others.changes()  # first: what is changed while it is being read counts
        self._seen = seen(self._list.run(*WAIT, "-S"), self._name, self._rule)
        return self._seen

    def moved(self) -> bool:
        """Whether others may have changed what `read` told. With iptables-legacy that is only known once something of
        it has been changed. Raises ActionError.
        """
        return self.surprised or (self._at is not None and self._others.changes() != self._at)

    def probe(self) -> None:
        """Raises ActionError when nothing at all can be changed."""
        try:
            self._change.run(*WAIT, "--noflush", said=_said([]))
        except ToolHangs:
            raise
        except ActionError as error:
            raise ActionError(_advised(str(error))) from error

    def move_here(self) -> None:
        """What the other variant of iptables has is here afterwards, and only then isn't there. Raises ActionError."""
        other = "legacy" if self._others.by_nft() else "nft"
        listing, change = _programs(self._version, f"-{other}", self._tools)
        try:
            there = self._elsewhere(listing) if other == "nft" or _has_filter(self._version) else None
        except ActionError:  # it isn't installed or can't be used, so nobody has done anything with it
            return
        if there is None:
            return
        self.bring([*there.rules, *there.behind], always=True)
        try:
            change.run(*WAIT, "--noflush", said=_said(removal(there, self._name)))
        except ActionError as error:
            log.warning(f"what an earlier run has in force can't be taken back: {error}", action="left")

    def _elsewhere(self, listing: Tool) -> Seen | None:
        """None when the chain isn't there. Raises ActionError."""
        found = seen(listing.run(*WAIT, "-S"), self._name, self._rule)
        return found if found.exists else None

    def bring(self, wanted: Collection[str] = (), gone: Collection[str] = (), *, always: bool = False) -> bool:
        """Returns once the rules for the matches `wanted` are there and those for `gone` are not, and packets come to
        them; True when that took a change. With `always` it makes also a chain without rules. Raises ActionError: then
        nobody knows what is there.
        """
        before, sure = self._known()
        lines = changes(before, self._name, wanted, gone, always=always)
        if sure and not lines:
            return False
        problem = self._write(lines)
        after = self._after(problem, expected(before, wanted, gone, always=always))
        idle = not (before.pure and before.hooked)  # then ours have come into force by this that weren't
        self.surprised |= idle or set(after.rules) != rules_after(before, wanted, gone)
        if again := changes(after, self._name, wanted, gone, always=always):  # others have changed it since it was read
            self.surprised = True
            problem = self._write(again)
            if changes(self.read(), self._name, wanted, gone, always=always):
                raise ActionError(
                    _advised(problem) or f"{self._change.name} reported success, and the rules are not there"
                )
        return bool(lines or again)

    def _known(self) -> tuple[Seen, bool]:
        """What is there, and whether that is sure: iptables-legacy may have changed it since."""
        if self._seen is None:
            return self.read(), True
        if self._at is None:
            return self._seen, False
        if self._others.changes() != self._at:
            before = self._seen
            self.surprised |= self.read() != before
        return self._seen, True

    def _write(self, lines: Sequence[str]) -> str:
        """The words with which it failed, if it did. Raises ToolHangs."""
        try:
            if lines:
                self._change.run(*WAIT, "--noflush", said=_said(lines))
                self._others.ours += 1
        except ToolHangs:
            self._seen = None
            raise
        except ActionError as error:
            return str(error)
        return ""

    def _after(self, problem: str, wanted: Seen) -> Seen:
        """What is there now: `wanted`, when our change was made and no other."""
        if problem or self._at is None or self._others.changes() != self._at:
            return self.read()
        self._seen = wanted
        return wanted


def chains(name: str, ours: Callable[[int], str], tools: Tools) -> dict[int, Chain]:
    """One for each family, by its version."""
    others = Others(tools)
    return {version: Chain(name, version, ours(version), tools, others) for version in PROGRAMS}


def _programs(version: int, variant: str, tools: Tools) -> tuple[Tool, Tool]:
    """What lists, and what changes."""
    program = f"{PROGRAMS[version]}{variant}"
    return Tool(program, tools), Tool(f"{program}-restore", tools)


def _has_filter(version: int) -> bool:
    try:
        return "filter" in LEGACY[version].read_text().split()
    except OSError:  # there is none, or it isn't ours to look at, and neither is the firewall
        return False


def _advised(problem: str) -> str:
    """With what to do about it."""
    return "; ".join(filter(None, (problem, *(advice for words, advice in ADVICE.items() if words in problem))))


def _said(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in ("*filter", *lines, "COMMIT"))
