"""`route-null`: routes to nowhere, so that no answer reaches who is blocked.

What they send still arrives, unless the host checks return paths (`rp_filter`): a TCP connection never comes about,
a lone UDP packet is heard. It needs no firewall, and costs a packet nothing, however many routes there are.

The rule it keeps: done means that the system has the route. Routes know no end: the executor's `revert` ends them.
"""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Protocol

from agent.actions.action import Effect, Result
from agent.actions.tools.families import Wanted, by_family
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.problems import Problems
from shared.errors import ActionError
from shared.targets import normalise_address


class Routes(Protocol):
    """A system's routes to nowhere, as far as they are ours. Names are addresses and networks in their one spelling."""

    backend: str

    def families(self) -> Collection[int]:
        """Which this host has: 4, 6."""

    def check(self) -> None:
        """Changes nothing. Raises ActionError with what is missing."""

    def listed(self, version: int) -> Collection[str]:
        """What is in force of one family. Raises ActionError."""

    def put(self, version: int, names: Sequence[str]) -> Problems:
        """Puts routes in force that may be so already; what failed, with the tool's words. Raises ActionError when all
        did.
        """

    def take(self, version: int, names: Sequence[str]) -> Problems:
        """Removes routes that may not be there. As `put` otherwise."""

    def moved(self) -> bool:
        """Whether somebody else may have changed routes since it was last asked; False where nobody tells."""


class RouteNull:
    """Implements `Action`."""

    name = "route-null"
    network = True
    exact = False

    def __init__(self, routes: Routes, lookout: Lookout | None = None) -> None:
        self.backend = routes.backend
        self._routes, self._lookout = routes, lookout or Lookout()
        self._moved = True

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """The address or network in its one spelling; `arguments` make no difference to a route."""
        return normalise_address(target)

    def prepare(self) -> None:
        """Nothing is made before the first block."""
        self._routes.check()

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out(effects, there=True)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out(effects, there=False)

    def inspect(self) -> dict[str, float | None]:
        self._routes.moved()  # first: what changes while it is being read is told later
        in_force = [name for version in self._routes.families() for name in self._routes.listed(version)]
        self._moved = False
        self._lookout.looked()
        return dict.fromkeys(in_force)

    def moved(self) -> bool:
        """Told by the system, where it tells; and now and then in any case."""
        self._moved = self._routes.moved() or self._moved
        return self._moved or self._lookout.due()

    def _carry_out(self, effects: Sequence[Effect], *, there: bool) -> list[Result]:
        self._moved = self._routes.moved() or self._moved
        results = by_family(effects, partial(self._make, there=there))
        self._routes.moved()  # what it has heard meanwhile were our own changes
        return results

    def _make(self, version: int, wanted: Wanted, *, there: bool) -> Problems:
        """Makes one family's be in force, or not; what failed."""
        change = self._routes.put if there else self._routes.take
        try:
            return change(version, list(wanted))
        except ActionError as error:
            return dict.fromkeys(wanted, str(error))
