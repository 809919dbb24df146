"""Which of many patterned things can match a message at all, by its first characters; an index, never a verdict."""

from collections.abc import Sequence
from typing import Generic, TypeVar

Thing = TypeVar("Thing")

LEAD = 12  # characters of a message that are gone by
_REMEMBERED = 4096  # beginnings; hostile messages must not make this grow


class Lookup(Generic[Thing]):
    """Things in their order, each with the lower-case beginnings that it asks for (None: any)."""

    __slots__ = ("_things", "remembered")

    def __init__(self, things: Sequence[tuple[Thing, tuple[str, ...] | None]]) -> None:
        self._things = tuple(things)
        self.remembered: dict[str, tuple[Thing, ...]] = {}

    def candidates(self, lead: str) -> tuple[Thing, ...]:
        """Those that may match a message whose first LEAD characters, in lower case, are `lead`; order kept."""
        found = self.remembered.get(lead)
        if found is None:
            if len(self.remembered) >= _REMEMBERED:
                self.remembered.clear()
            found = tuple(thing for thing, leads in self._things if leads is None or _possible(lead, leads))
            self.remembered[lead] = found
        return found


def _possible(lead: str, leads: tuple[str, ...]) -> bool:
    return any(lead.startswith(each[:LEAD]) for each in leads)
