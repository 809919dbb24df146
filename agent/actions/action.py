"""The seam between the executor and what changes a host: one protocol, one contract suite for all who implement it.

Every call comes from the executor's own thread, never two at once. Calls may block.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Effect(Struct, frozen=True, kw_only=True):
    """An action in force on its target, or about to be. `key` is unique within its action."""

    key: str
    target: str
    arguments: tuple[str, ...] = ()
    left: float | None = None  # s it still has to be in force; None: until lifted


class Result(Struct, frozen=True, kw_only=True):
    """What became of one effect: done when `problem` is empty, else the tool's own words."""

    key: str
    problem: str = ""
    exit_code: int | None = None


class Action(Protocol):
    """One action with the backend that carries it out on this host."""

    name: str  # as in orders: firewall-drop, …
    backend: str  # what carries it out: nftables, …
    network: bool  # it may cut this host off from its broker, so that applying is proved afterwards

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """The key of the effect that an order for `target` holds. Pure. Raises InvalidTarget."""

    def prepare(self) -> None:
        """Makes what applying needs (tables, sets), and keeps effects that are there. Twice is safe.

        Raises ActionError with what is missing on this host and what to do about it.
        """

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        """Puts each in force so that it ends `left` seconds from now, also when it is in force already, whatever
        end it had. Twice is safe. A result for each, in order; one that fails stops no other. Done means that the
        effect was seen. Never raises for the host's reasons.
        """

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        """Ends each; what isn't in force is done already. As `apply` otherwise."""

    def inspect(self) -> dict[str, float | None]:
        """What is in force on the host, by whoever put it there: seconds left by key, None for until lifted.

        Raises ActionError.
        """

    def moved(self) -> bool:
        """True when somebody else may have changed what `inspect` tells, since it last told it; also when it never has.

        Neither our own `apply` and `revert` nor an end that has come count. Cheap: it is asked every second. Raises
        ActionError.
        """
