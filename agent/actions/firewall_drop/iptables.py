"""`firewall-drop` by iptables alone: a rule for each address in a chain of our own, for hosts that have nothing better.

The kernel walks that chain for every packet, 10,000 rules cost nine tenths of what a host can take in, and it keeps no
ends: a block whose agent is dead stays. With ipset (`agent/actions/firewall_drop/ipset.py`) neither is so.
"""

from collections.abc import Sequence
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from agent.actions.action import Effect, Result
from agent.actions.firewall_drop.chain import chains
from agent.actions.tools.families import IPV6, Wanted, by_family, families, key_of
from agent.actions.tools.halves import in_halves
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.places import LENGTHS
from agent.actions.tools.problems import Problems
from agent.actions.tools.tool import Tools
from shared.errors import ActionError
from shared.targets import normalise_address

CHAIN = "thwart"


class Iptables:
    """Implements `Action`, with whichever of iptables-nft and iptables-legacy is the host's `iptables`."""

    name = "firewall-drop"
    backend = "iptables"
    network = True
    exact = False

    def __init__(self, *, tools: Tools = Tools(), lookout: Lookout | None = None, ipv6: Path = IPV6) -> None:
        self._lookout, self._ipv6 = lookout or Lookout(), ipv6
        self._chains = chains(CHAIN, lambda _: r"-s [0-9a-f.:/]+", tools)

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """The address or network in its one spelling; `arguments` make no difference to a firewall."""
        return normalise_address(target)

    def prepare(self) -> None:
        """Chain and jumps are there afterwards, so that a kernel which lacks what they need is known at the start."""
        for version in families(self._ipv6):
            self._chains[version].find()
        for version in families(self._ipv6):
            self._chains[version].probe()
            self._chains[version].bring(always=True)
            self._chains[version].move_here()

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return by_family(effects, self._put)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return by_family(effects, self._take_out)

    def inspect(self) -> dict[str, float | None]:
        in_force: dict[str, float | None] = {}
        for version in families(self._ipv6):
            self._chains[version].surprised = False
            rules = self._chains[version].read().in_force
            in_force.update((key_of(version, each.removeprefix("-s ")), None) for each in rules)
        self._lookout.looked()
        return in_force

    def moved(self) -> bool:
        """Nothing tells of what iptables-legacy changes, so it is looked at from time to time."""
        return self._lookout.due() or any(each.moved() for each in self._chains.values())

    def _put(self, version: int, wanted: Wanted) -> Problems:
        chain = self._chains[version]

        def bring(some: Sequence[str]) -> None:
            chain.bring([_match(version, each) for each in some]) if some else chain.probe()

        return in_halves(list(wanted), bring)

    def _take_out(self, version: int, wanted: Wanted) -> Problems:
        try:
            self._chains[version].bring(gone=[_match(version, each) for each in wanted])
        except ActionError as error:
            return dict.fromkeys(wanted, str(error))
        return {}


def _match(version: int, address: str) -> str:
    """As iptables lists it, by inet_ntop(3): `::cb00:7109` is `::203.0.113.9` there."""
    host, _, length = address.partition("/")
    family = AF_INET6 if version == 6 else AF_INET
    return f"-s {inet_ntop(family, inet_pton(family, host))}/{length or LENGTHS[version]}"
