"""`firewalld-drop`: firewalld's own means, for hosts whose firewall it is.

Hosts and networks are members of sets that feed a zone of ours (firewalld_zone.py). firewalld refuses a member that
overlaps another, and makes a set only in a reload; so a network that overlaps one in the set is a source of the zone,
with rules of its own. Of these there can't be many: firewalld 2 has a rule for each pair of a zone's sources.

The rule it keeps: what is in force is what the kernel has. firewalld tells what it was told, also when its table was
flushed away behind its back; so with its nftables backend the sets are looked at in the kernel.

Everything is in the runtime configuration alone: a block must not outlive an agent that is gone for good. A reload
forgets it; that moves the ruleset's generation, is seen within a second and put right. firewalld knows no ends for
members and sources: the executor's `revert` ends them. It passes what is established before it looks at any zone; so
connections with whom is blocked are ended.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address

from agent.actions.action import Effect, Result
from agent.actions.firewalld_drop import firewalld_zone
from agent.actions.firewalld_drop.apart import apart
from agent.actions.firewalld_drop.connections import Connections
from agent.actions.firewalld_drop.firewalld_bus import IPSET, ZONE, Bus, FirewalldBus
from agent.actions.firewalld_drop.firewalld_zone import HOSTS, MOST, NAME, NETWORKS, SETS, SOURCES
from agent.actions.tools.halves import in_halves
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.netlink import Netlink, attempts
from agent.actions.tools.places import LENGTHS, Place, Set, place_of
from agent.actions.tools.problems import Problems, one_by_one, results, understood
from shared.errors import ActionError, InvalidTarget
from shared.targets import normalise_address

TABLE = "firewalld"
# Measured with firewalld 1.3: one more member takes 2 ms and 5 µs for each that is there, because it compares them
# all. Writing the whole set anew takes 50 µs a member, but empties it first, and who is let in then stays in.
ONE, FOR_EACH = 0.002, 0.000_005  # s
PATIENCE = 1.0  # s that one by one may take
WHOLE = 0.000_2  # s for each member that the whole may take on a slow host
FEW = 50  # members to ask the kernel for one by one, 50 µs each; all of 10,000 take it 60 ms
DISAGREES = ("ALREADY_ENABLED", "NOT_ENABLED")  # what firewalld says when it remembers otherwise than the kernel


class Firewalld:
    """Implements `Action`."""

    name = "firewalld-drop"
    backend = "firewalld"
    network = True
    exact = False

    def __init__(self, bus: Callable[[], Bus] = FirewalldBus, reader: Callable[[], Netlink] = Netlink) -> None:
        self._bus, self._reader, self._lookout, self._connections = bus(), reader(), Lookout(), Connections()
        self._attempts = attempts()
        self._by_nftables = True
        self._sizes: dict[str, int] = {}  # of the sets, when they were last read
        self._generation: int | None = None  # of what was told, and what we have changed since

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """The address or network in its one spelling; `arguments` make no difference to a firewall."""
        return normalise_address(target)

    def prepare(self) -> None:
        """Who never uses it finds nothing of Thwart's in firewalld: zone and sets are made with the first block."""
        firewalld_zone.check(self._bus)
        self._by_nftables = firewalld_zone.uses_nftables(self._bus)

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out(effects, there=True)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out(effects, there=False)

    def inspect(self) -> dict[str, float | None]:
        """Whatever is in our sets and our zone."""
        generation = self._now()  # first: what changes while it is being read moves it on
        in_force = self._in_force()
        self._generation = generation
        self._lookout.looked()
        return dict.fromkeys(in_force)

    def moved(self) -> bool:
        """By the ruleset's generation, which whatever firewalld does in nftables moves on; elsewhere now and then."""
        return self._lookout.due() or self._now() != self._generation

    def _now(self) -> int | None:
        return self._reader.generation() if self._by_nftables else None

    def _carry_out(self, effects: Sequence[Effect], *, there: bool) -> list[Result]:
        """Makes each be in force, or not."""
        keys = dict.fromkeys(each.key for each in effects)
        try:
            problems = self._make(keys, there=there) if keys else {}
        except ActionError as error:
            problems = dict.fromkeys(keys, str(error))
        return results(effects, problems)

    def _make(self, keys: Iterable[str], *, there: bool) -> Problems:
        """What could not be done, with firewalld's words. Raises ActionError when that is so for all.

        What does nothing for lack of a source is to go, too: it would be in force once more when that comes back.
        """
        known = self._now()
        places, problems = understood(keys, place_of)
        before = self._found(places, idle=not there)
        differing = {key: place for key, place in places.items() if (key in before) != there}
        if not differing:
            return problems
        if there and not (self._sources() or set()) >= SOURCES:
            firewalld_zone.make(self._bus)
        for version in LENGTHS:
            some = {key: place for key, place in differing.items() if place.set.version == version}
            hosts = [key for key, place in some.items() if place.set.of_hosts]
            problems |= self._in_set(HOSTS[version], hosts, there=there)
            problems |= self._networks(version, [key for key in some if key not in hosts], there=there)
        said_yes = [key for key in differing if not problems.get(key)]
        if there:
            self._connections.end(said_yes)
        return problems | self._not_seen({key: differing[key] for key in said_yes}, known, there=there)

    def _not_seen(self, keys: Mapping[str, Place], known: int | None, *, there: bool) -> Problems:
        """firewalld has said yes to these: those that the kernel has otherwise nevertheless."""
        now = self._now()
        after = self._found(keys, idle=not there)
        if known == self._generation:
            self._generation = now
        words = "firewalld said yes, but the kernel has it otherwise; restart firewalld"
        return {key: words for key in keys if (key in after) != there}

    def _networks(self, version: int, keys: Sequence[str], *, there: bool) -> Problems:
        """In the set as far as they may be there, the others as sources of the zone. For a single one firewalld finds
        that out in less time than it takes to read all others.
        """
        if not keys:
            return {}
        name = NETWORKS[version]
        if there and len(keys) == 1 and not any(self._in_set(name, keys, there=True).values()):
            return {}
        fed = self._members(name)
        inside = apart(keys, fed) if there else set(keys).intersection(fed)
        problems = self._in_set(name, [key for key in keys if key in inside], there=there)
        others = [key for key in keys if key not in inside]
        return problems | self._one_by_one(ZONE, "addSource" if there else "removeSource", NAME, others)

    def _in_set(self, name: str, keys: Sequence[str], *, there: bool) -> Problems:
        """One by one, or the whole set anew when these are so many, or firewalld disagrees with the kernel."""
        problems: Problems = {}
        if not keys:
            return problems
        if _is_soon_done(len(keys), self._sizes.get(name, MOST)) or _is_soon_done(len(keys), len(self._members(name))):
            problems = self._one_by_one(IPSET, "addEntry" if there else "removeEntry", name, keys)
            keys = [key for key, words in problems.items() if words.startswith(DISAGREES)]
        return problems | dict.fromkeys(keys, "") | (self._whole(name, keys, there=there) if keys else {})

    def _whole(self, name: str, keys: Sequence[str], *, there: bool) -> Problems:
        members = dict.fromkeys(self._members(name))

        def write(some: Sequence[str]) -> None:
            wanted = [*dict.fromkeys([*members, *some])] if there else [*(members.keys() - set(some))]
            longer = WHOLE * (len(wanted) + len(members))
            self._bus.ask(IPSET, "setEntries", "sas", name, wanted, longer=longer)
            members.clear()
            members.update(dict.fromkeys(wanted))

        return in_halves(keys, write)

    def _one_by_one(self, interface: str, method: str, where: str, keys: Sequence[str]) -> Problems:
        return one_by_one(self._bus.ask, ((key, (interface, method, "ss", where, key)) for key in keys))

    def _in_force(self) -> set[str]:
        """What firewalld remembers does nothing when its sets aren't in the kernel, or don't feed the zone."""
        sources, sets = self._feeding(idle=False)
        return {*(key for name in sets for key in self._members(name)), *filter(None, map(_network, sources))}

    def _found(self, keys: Mapping[str, Place], *, idle: bool) -> set[str]:
        """Those of `keys` that are in force; with `idle` also those that would be if their set fed the zone."""
        sources, sets = self._feeding(idle=idle)
        if len(keys) > FEW:
            names = {_set_of(each) for each in keys.values()}.intersection(sets)
            members = {key for name in names for key in self._members(name)}
        else:
            members = {key for key, each in keys.items() if _set_of(each) in sets and self._has(key, each)}
        return (members | sources).intersection(keys)

    def _feeding(self, *, idle: bool) -> tuple[set[str], list[str]]:
        """The zone's sources, and which of our sets are; with `idle` all that are there."""
        sources = self._sources()
        if sources is None or (self._by_nftables and not set(SETS) <= set(self._reader.sets(TABLE))):
            return set(), []
        return sources, [name for name in SETS if idle or f"ipset:{name}" in sources]

    def _sources(self) -> set[str] | None:
        """Of our zone; None when there is no such zone yet."""
        try:
            return set(self._bus.ask(ZONE, "getSources", "s", NAME))
        except ActionError as error:
            if str(error).startswith("INVALID_ZONE"):
                return None
            raise

    def _has(self, key: str, place: Place) -> bool:
        """Whether it is in its set."""
        name = _set_of(place)
        if self._by_nftables and not self._reader.has(TABLE, name, ip_address(place.address).packed):
            return False
        known = self._by_nftables and place.set.of_hosts  # of networks the kernel tells where they begin
        return known or bool(self._bus.ask(IPSET, "queryEntry", "ss", name, key))

    def _members(self, name: str) -> list[str]:
        """Of a set; of networks the kernel tells where they begin."""
        found = self._in_kernel(name) if self._by_nftables else list(self._bus.ask(IPSET, "getEntries", "s", name))
        self._sizes[name] = len(found)
        return found

    def _in_kernel(self, name: str) -> list[str]:
        version = next(version for version in LENGTHS if name in (HOSTS[version], NETWORKS[version]))
        hosts = Set(version, LENGTHS[version])
        members = self._attempts(lambda: list(self._reader.members(TABLE, name)))
        begin = [key for each in members if (key := hosts.key(each.address))]
        if name in HOSTS.values():
            return begin
        known = set(begin)
        return [key for key in self._bus.ask(IPSET, "getEntries", "s", name) if key.partition("/")[0] in known]


def _is_soon_done(number: int, before: int) -> bool:
    """Whether so many may be done one by one; nobody is let in while a set is empty that was empty before."""
    return number * (ONE + FOR_EACH * (before + number / 2)) <= (PATIENCE if before else 2 * ONE)


def _network(source: str) -> str:
    """The key of a network of ours; what else somebody has put into the zone is theirs."""
    try:
        return normalise_address(source) if "/" in source else ""
    except InvalidTarget:
        return ""


def _set_of(place: Place) -> str:
    return (HOSTS if place.set.of_hosts else NETWORKS)[place.set.version]
