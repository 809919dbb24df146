"""A list of addresses that the host's own firewall keeps: what blocking by pf, ipfw and npf have in common.

The rule it keeps: what counts is the list as it is read back once for each batch. What a tool says of itself only tells
why something isn't as it should be. Nothing ends by itself here: these firewalls keep no time.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

from agent.actions.action import Effect, Result
from agent.actions.tools.lookout import Lookout
from agent.actions.tools.problems import Problems, results, understood
from shared.errors import ActionError, InvalidTarget
from shared.targets import normalise_address, parse_network, text_of

Change = Callable[[Sequence[str]], Problems]  # of keys


class AddressList(ABC):
    """Implements `Action` with what a backend can do to its list."""

    name: str
    backend: str
    network = True
    exact = False

    def __init__(self, lookout: Lookout) -> None:
        self._lookout = lookout
        self._known: set[str] | None = None  # what `inspect` found on the list, and what we have changed since

    @abstractmethod
    def prepare(self) -> None:
        """As `Action.prepare`: whatever the list needs to be there and to be looked at by the firewall."""

    @abstractmethod
    def _members(self) -> set[str]:
        """The keys that are on the list; none when there is no list. Raises ActionError."""

    @abstractmethod
    def _counts(self) -> bool:
        """Whether the firewall drops what is on the list. Raises ActionError."""

    @abstractmethod
    def _put(self, keys: Sequence[str]) -> Problems:
        """Puts all on the list, there already or not."""

    @abstractmethod
    def _take_out(self, keys: Sequence[str]) -> Problems:
        """Takes all off the list, on it or not."""

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """The address or network in its one spelling; `arguments` make no difference to a firewall."""
        return normalise_address(target)

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carried_out(effects, self._apply)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carried_out(effects, self._revert)

    def inspect(self) -> dict[str, float | None]:
        """Only what the firewall really drops."""
        members = self._members()
        counts = self._counts()
        # The next block makes what is missing, and then all that is on the list counts again.
        self._known = members if counts or not members else None
        self._lookout.looked()
        return dict.fromkeys(members if counts else ())

    def moved(self) -> bool:
        """When a batch found the list otherwise than we had left it, and every now and then: nobody tells us."""
        return self._known is None or self._lookout.due()

    def _carried_out(self, effects: Sequence[Effect], change: Change) -> list[Result]:
        keys, problems = understood((effect.key for effect in effects), normalise_address)
        if keys:
            failed = self._tried(list(dict.fromkeys(keys.values())), change)
            problems |= {key: failed[spelled] for key, spelled in keys.items() if spelled in failed}
        return results(effects, problems)

    def _tried(self, keys: Sequence[str], change: Change) -> Problems:
        try:
            return change(keys)
        except ActionError as error:
            self._known = None
            return dict.fromkeys(keys, str(error))

    def _apply(self, keys: Sequence[str]) -> Problems:
        self.prepare()
        said = self._put(keys)
        members = self._members()
        done = members.intersection(keys)
        self._left(members, lambda known: known | done)
        missing = dict.fromkeys(set(keys) - done, f"{self.backend} took it, but it isn't on its list")
        return missing | said

    def _revert(self, keys: Sequence[str]) -> Problems:
        said = self._take_out(keys)
        members = self._members()
        self._left(members, lambda known: known - (set(keys) - members))
        staying = members.intersection(keys)
        return {key: said.get(key) or f"{self.backend} let go of it, but it is still on its list" for key in staying}

    def _left(self, members: set[str], ours: Callable[[set[str]], set[str]]) -> None:
        """Takes note of the list after `ours` was done to it; what else is different is somebody else's doing."""
        if self._known is not None and ours(self._known) == members:
            self._known = members
        else:
            self._known = None


def keys_of(told: Iterable[str]) -> set[str]:
    """The keys of addresses and networks as a tool prints them. Raises ActionError."""
    try:
        return {text_of(parse_network(each)) for each in told}
    except InvalidTarget as error:
        raise ActionError(f"what is on the list can't be read: {error}") from error
