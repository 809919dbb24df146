"""`firewall-drop` in iptables' filter table: what it has in common with and without ipset.

The rule it keeps: each family has a chain of its own (chain.py), and what is in force is what that really drops.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.actions.action import Effect, Result
from agent.actions.firewall_drop.chain import Chain
from agent.actions.tools.families import Wanted, by_family, families
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.problems import Problems
from shared.targets import normalise_address


class ByChain(ABC):
    """Implements `Action`, with whichever of iptables-nft and iptables-legacy is the host's `iptables`."""

    name = "firewall-drop"
    backend: str
    network = True
    exact = False

    def __init__(self, chains: Mapping[int, Chain], lookout: Lookout | None, ipv6: Path) -> None:
        self._chains, self._lookout, self._ipv6 = chains, lookout or Lookout(), ipv6

    @abstractmethod
    def _make(self, version: int) -> None:
        """Whatever one family's blocks need. Raises ActionError."""

    @abstractmethod
    def _of(self, version: int, rules: Sequence[str]) -> Mapping[str, float | None]:
        """What one family's rules drop: seconds left by key. Raises ActionError."""

    @abstractmethod
    def _put(self, version: int, wanted: Wanted) -> Problems:
        """Puts one family's in force."""

    @abstractmethod
    def _take_out(self, version: int, wanted: Wanted) -> Problems:
        """Ends one family's, in force or not."""

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """The address or network in its one spelling; `arguments` make no difference to a firewall."""
        return normalise_address(target)

    def prepare(self) -> None:
        """All is made by it, so that a kernel which lacks what blocks need is known at the start."""
        for version in families(self._ipv6):
            self._chains[version].find()
        for version in families(self._ipv6):
            self._chains[version].probe()
            self._make(version)
            self._chains[version].move_here()

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return by_family(effects, self._put)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return by_family(effects, self._take_out)

    def inspect(self) -> dict[str, float | None]:
        in_force: dict[str, float | None] = {}
        for version in families(self._ipv6):
            self._chains[version].surprised = False
            in_force.update(self._of(version, self._chains[version].read().in_force))
        in_force.pop("", None)
        self._lookout.looked()
        return in_force

    def moved(self) -> bool:
        """Nothing tells of a set that was changed, nor of what iptables-legacy does: it is looked at now and then."""
        return self._lookout.due() or any(each.moved() for each in self._chains.values())
