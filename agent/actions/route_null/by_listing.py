"""Routes brought about by what a system lists before and after: its tools' own word isn't enough there."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence

from agent.actions.tools.problems import Problems


class ByListing(ABC):
    """Implements `Routes`. What was to be done is what differs, and done is what is seen."""

    backend: str

    def families(self) -> Collection[int]:
        return (4, 6)

    @abstractmethod
    def listed(self, version: int) -> Collection[str]:
        """As `Routes.listed`."""

    @abstractmethod
    def _add(self, version: int, names: Sequence[str]) -> Problems:
        """Adds routes that aren't listed; what failed, with the tool's words."""

    @abstractmethod
    def _delete(self, version: int, names: Sequence[str]) -> Problems:
        """Deletes routes that are. As `_add` otherwise."""

    def put(self, version: int, names: Sequence[str]) -> Problems:
        return self._make(version, names, self._add, there=True)

    def take(self, version: int, names: Sequence[str]) -> Problems:
        return self._make(version, names, self._delete, there=False)

    def moved(self) -> bool:
        return False

    def _make(
        self, version: int, names: Sequence[str], change: Callable[[int, Sequence[str]], Problems], *, there: bool
    ) -> Problems:
        """Makes each route be there, or not. Raises ActionError."""
        before = self.listed(version)
        differing = [name for name in names if (name in before) != there]
        if not differing:
            return {}
        failed = change(version, differing)
        after = self.listed(version)
        words = f"{self.backend} said yes, but the route is {'not ' if there else 'still '}there"
        return {name: failed.get(name, words) for name in differing if (name in after) != there}
