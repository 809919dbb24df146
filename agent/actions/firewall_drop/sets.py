"""A table of our own in nft's language: which set a host or network is in, and what has to be said to put it there.

A set of hosts for each family, and one of networks for each prefix length in use, matched by its mask. None with
intervals: there a /24 inside a /16 fails the whole transaction, neighbours are fused and get the longer end, and one
more element costs a second at 100,000. Here each has its own end in the kernel, whatever lies inside it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_network

from agent.actions.tools.places import HOSTS, LENGTHS, Place, Set

TABLE = "thwart"
CHAINS = ("input", "forward")  # packets for containers never see `input`
LONGEST = 3_650 * 86_400  # s; some centuries are out of the kernel's range

_FAMILY = {4: "ip", 6: "ip6"}
_NAMED = re.compile(r"hosts(?P<hosts>[46])|nets(?P<nets>[46])_(?P<length>\d{1,3})")

# Sets and counters that are there stay as they are. The rules are written anew, in the same transaction, because nft
# has no "add unless it is there" for rules; the counters are named so that they outlive that.
_TABLE = """\
add table inet thwart
add counter inet thwart dropped4
add counter inet thwart dropped6
add chain inet thwart input { type filter hook input priority -10; }
add chain inet thwart forward { type filter hook forward priority -10; }
flush chain inet thwart input
flush chain inet thwart forward
"""

Wanted = Mapping[Place, float | None]  # seconds left


def named(name: str) -> Set | None:
    """The set of ours that is called so."""
    found = _NAMED.fullmatch(name)
    if found is None:
        return None
    version = int(found["hosts"] or found["nets"])
    length = int(found["length"] or LENGTHS[version])
    return Set(version, length) if 0 < length <= LENGTHS[version] else None


def declared(some: Iterable[Set]) -> str:
    """The table with the sets of hosts and `some` others, and a rule in each chain for each of them and no other."""
    return _declared(tuple(sorted(HOSTS.union(some))))


@lru_cache(maxsize=64)  # the same are in use for hours
def _declared(some: Sequence[Set]) -> str:
    return _TABLE + "".join(map(_set, some)) + "".join(_rule(chain, each) for chain in CHAINS for each in some)


def _set(each: Set) -> str:
    """By `typeof`: beside a set declared by `type` nft 1.1.2 and later write what older ones crash by, and with them
    whoever uses them. An agent in a container has another nft than its host.
    """
    return f"add set inet {TABLE} {each.name} {{ typeof {_FAMILY[each.version]} saddr; flags timeout; }}\n"


def _rule(chain: str, each: Set) -> str:
    mask = "" if each.of_hosts else f" & {ip_network((bytes(LENGTHS[each.version] // 8), each.length)).netmask}"
    counter = f"counter name dropped{each.version}"
    return f"add rule inet {TABLE} {chain} {_FAMILY[each.version]} saddr{mask} @{each.name} {counter} drop\n"


def removed(some: Iterable[Set]) -> str:
    """Takes whole sets out. None of them may have a rule any more."""
    return "".join(f"delete set inet {TABLE} {each.name}\n" for each in some)


def put(wanted: Wanted) -> str:
    """Makes each end `left` seconds from now, whatever is in the set.

    Adding what is there doesn't move its end on older kernels, and deleting what isn't there fails the transaction.
    """
    return taken_out(wanted) + _for_each_set(
        "add", [(place.set, f"{place.address}{_timeout(left)}") for place, left in wanted.items()]
    )


def taken_out(wanted: Wanted) -> str:
    """Ends each, in force or not."""
    members = [(place.set, place.address) for place in wanted]
    return _for_each_set("add", members) + _for_each_set("delete", members)


def _for_each_set(verb: str, members: Iterable[tuple[Set, str]]) -> str:
    """One command a set: a thousand elements in one take half the time of a thousand commands."""
    of_set: dict[Set, list[str]] = {}
    for each, member in members:
        of_set.setdefault(each, []).append(member)
    return "".join(
        f"{verb} element inet {TABLE} {each.name} {{ {', '.join(some)} }}\n" for each, some in of_set.items()
    )


def _timeout(left: float | None) -> str:
    """As nft wants it: whole milliseconds and never none of them, because `0ms` is for ever.

    In days, seconds and milliseconds, because nft takes no number of more than eight digits: 28 hours in milliseconds.
    """
    if left is None:
        return ""
    milliseconds = int(min(max(0.001, left), LONGEST) * 1_000)
    seconds, milliseconds = divmod(milliseconds, 1_000)
    days, seconds = divmod(seconds, 86_400)
    return f" timeout {days}d{seconds}s{milliseconds}ms"
