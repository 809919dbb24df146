"""A chain of our own in iptables' filter table, with a jump to it at the head of INPUT and of FORWARD.

The rule it keeps: whatever it says is there was read, rules and jumps, and since then nobody but ourselves has changed
anything; where that isn't sure, it is read back. It changes only what differs, in one `iptables-restore`, which is all
or nothing: no rule is there twice, and none is missing meanwhile.

iptables-restore(8): `-w` waits for the lock that every iptables takes, `--noflush` leaves alone what isn't named, and a
chain that is named is emptied. iptables(8): `-S` lists rules as they would be added. The exit codes are 1, 2 and 4, the
last when somebody held the lock. Both are the same with iptables-legacy and iptables-nft.
"""

import re
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from agent.actions.tools.netlink import Netlink
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError, ToolHangs

HOOKS = ("INPUT", "FORWARD")  # packets for containers never see INPUT
PROGRAMS = {4: "iptables", 6: "ip6tables"}
WAIT = ("-w", "5")  # s for the lock; less than a tool may take, so that the words are iptables' own
# What is deleted rule by rule is looked for from the first one on: of 10,000, iptables-nft deletes 1,000 in 3 s, and
# writes all of them anew in 0.13 s.
DELETED = 20


class Seen(Struct, frozen=True):
    """What is there: rules of ours, as matches. Behind one that isn't ours nobody can tell what they do."""

    exists: bool
    rules: tuple[str, ...]
    behind: tuple[str, ...]
    pure: bool  # nothing else is in the chain
    jumps: dict[str, tuple[int, ...]]  # to the chain, by where from: their places there, from 0

    @property
    def hooked(self) -> bool:
        """Every packet comes through the chain, once, before anything else may accept it."""
        return all(self.jumps[hook] == (0,) for hook in HOOKS)

    @property
    def in_force(self) -> tuple[str, ...]:
        """The matches that are really dropped."""
        return self.rules if self.hooked else ()


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
        if self._by_nft is None:
            self._by_nft = "nf_tables" in self._iptables.run("--version")
        return self._netlink.generation() - self.ours if self._by_nft else None


class Chain:
    """The chain `name` of one family, whose rules drop what matches; a match is ours when `ours` matches all of it."""

    def __init__(self, name: str, version: int, ours: str, tools: Tools, others: Others) -> None:
        self.surprised = False  # others have changed something that had been read
        self._name = name
        self._rule = re.compile(f"-A {name} ({ours}) -j DROP")
        self._list, self._change = Tool(PROGRAMS[version], tools), Tool(f"{PROGRAMS[version]}-restore", tools)
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
        self._change.run(*WAIT, "--noflush", said=_said([]))

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
        self.surprised |= idle or set(after.rules) != _rules(before, wanted, gone)
        if again := changes(after, self._name, wanted, gone, always=always):  # others have changed it since it was read
            self.surprised = True
            problem = self._write(again)
            if changes(self.read(), self._name, wanted, gone, always=always):
                raise ActionError(problem or f"{self._change.name} reported success, and the rules are not there")
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


def seen(listing: str, name: str, rule: re.Pattern[str]) -> Seen:
    """What `iptables -S` tells."""
    lines = listing.splitlines()
    ours = [rule.fullmatch(line) for line in lines if line.startswith(f"-A {name} ")]
    known = ours.index(None) if None in ours else len(ours)
    return Seen(
        f"-N {name}" in lines,
        tuple(each[1] for each in ours[:known] if each is not None),
        tuple(each[1] for each in ours[known:] if each is not None),
        known == len(ours),
        {hook: _jumps([line for line in lines if line.startswith(f"-A {hook} ")], name) for hook in HOOKS},
    )


def changes(before: Seen, name: str, wanted: Collection[str], gone: Collection[str], *, always: bool) -> list[str]:
    """What iptables-restore is to be told; nothing when all is as it should be."""
    target = _rules(before, wanted, gone)
    lines = _rule_changes(before, name, target)
    if not target and not always:
        return lines
    lines = lines if before.exists or lines[:1] == [_anew(name)] else [_anew(name), *lines]
    for hook in HOOKS:
        if before.jumps[hook] != (0,):
            lines += [f"-D {hook} -j {name}"] * len(before.jumps[hook]) + [f"-I {hook} 1 -j {name}"]
    return lines


def expected(before: Seen, wanted: Collection[str], gone: Collection[str], *, always: bool) -> Seen:
    """What is there once the changes are made."""
    rules = tuple(_rules(before, wanted, gone))
    if not rules and not always:
        return Seen(before.exists, (), (), True, before.jumps)
    return Seen(True, rules, (), True, dict.fromkeys(HOOKS, (0,)))


def _rule_changes(before: Seen, name: str, target: Collection[str]) -> list[str]:
    there = dict.fromkeys(before.rules)
    gone = [each for each in there if each not in target]
    if not before.pure or len(there) < len(before.rules) or len(gone) > DELETED or _are_mistaken(gone, target):
        return [_anew(name), *(f"-A {name} {each} -j DROP" for each in target)]
    added = [f"-A {name} {each} -j DROP" for each in target if each not in there]
    return [f"-D {name} {each} -j DROP" for each in gone] + added


def _are_mistaken(gone: Collection[str], kept: Collection[str]) -> bool:
    """Whether a rule might be deleted for another: ip6tables-nft 1.8.9 looks at a source's address, not at its length,
    and takes 2001:db8::/48 out when it is told 2001:db8::/32.
    """
    addresses = {each.partition("/")[0] for each in gone}
    return bool(gone) and any(each.partition("/")[0] in addresses for each in kept)


def _rules(before: Seen, wanted: Collection[str], gone: Collection[str]) -> Collection[str]:
    """Those that are to be there, each once."""
    without = set(gone)
    kept = (each for each in (*before.rules, *before.behind) if each not in without)
    return dict.fromkeys([*kept, *wanted]).keys()


def _said(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in ("*filter", *lines, "COMMIT"))


def _anew(name: str) -> str:
    return f":{name} - [0:0]"


def _jumps(rules: Sequence[str], name: str) -> tuple[int, ...]:
    return tuple(place for place, rule in enumerate(rules) if rule.endswith(f" -j {name}") and len(rule.split()) == 4)
