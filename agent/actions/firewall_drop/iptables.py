"""`firewall-drop` by iptables alone: a rule for each address in a chain of our own, for hosts that have nothing better.

The kernel walks that chain for every packet, 10,000 rules cost nine tenths of what a host can take in, and it keeps no
ends: a block whose agent is dead stays. With ipset (`agent/actions/firewall_drop/ipset.py`) neither is so.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from agent.actions.firewall_drop.by_chain import ByChain
from agent.actions.firewall_drop.chain import chains
from agent.actions.tools.families import IPV6, Wanted, key_of
from agent.actions.tools.halves import in_halves
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.places import LENGTHS
from agent.actions.tools.problems import Problems
from agent.actions.tools.tool import Tools
from shared.errors import ActionError

CHAIN = "thwart"


class Iptables(ByChain):
    """Implements `Action`."""

    backend = "iptables"

    def __init__(self, *, tools: Tools = Tools(), lookout: Lookout | None = None, ipv6: Path = IPV6) -> None:
        super().__init__(chains(CHAIN, lambda _: r"-s [0-9a-f.:/]+", tools), lookout, ipv6)

    def _make(self, version: int) -> None:
        self._chains[version].bring(always=True)

    def _of(self, version: int, rules: Sequence[str]) -> Mapping[str, float | None]:
        return {key_of(version, each.removeprefix("-s ")): None for each in rules}

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
