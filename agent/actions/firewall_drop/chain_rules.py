"""What iptables lists of a chain of ours, and what has to be said so that it is as it should be: pure.

iptables(8): `-S` lists rules as they would be added. iptables-restore(8): a chain that is named is emptied. Both are
the same with iptables-legacy and iptables-nft.
"""

import re
from collections.abc import Collection, Sequence

from msgspec import Struct

HOOKS = ("INPUT", "FORWARD")  # packets for containers never see INPUT
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
    target = rules_after(before, wanted, gone)
    lines = _rule_changes(before, name, target)
    if not target and not always:
        return lines
    lines = lines if before.exists or lines[:1] == [_anew(name)] else [_anew(name), *lines]
    for hook in HOOKS:
        if before.jumps[hook] != (0,):
            lines += [f"-D {hook} -j {name}"] * len(before.jumps[hook]) + [f"-I {hook} 1 -j {name}"]
    return lines


def removal(before: Seen, name: str) -> list[str]:
    """The same, so that nothing of the chain is left."""
    jumps = [f"-D {hook} -j {name}" for hook in HOOKS for _ in before.jumps[hook]]
    return [*jumps, f"-F {name}", f"-X {name}"]


def expected(before: Seen, wanted: Collection[str], gone: Collection[str], *, always: bool) -> Seen:
    """What is there once the changes are made."""
    rules = tuple(rules_after(before, wanted, gone))
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


def rules_after(before: Seen, wanted: Collection[str], gone: Collection[str]) -> Collection[str]:
    """Those that are to be there, each once."""
    without = set(gone)
    kept = (each for each in (*before.rules, *before.behind) if each not in without)
    return dict.fromkeys([*kept, *wanted]).keys()


def _anew(name: str) -> str:
    return f":{name} - [0:0]"


def _jumps(rules: Sequence[str], name: str) -> tuple[int, ...]:
    return tuple(place for place, rule in enumerate(rules) if rule.endswith(f" -j {name}") and len(rule.split()) == 4)
