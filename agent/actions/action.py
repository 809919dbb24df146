"""The seam between what carries orders out and what changes a host: two protocols, each with one contract suite.

An `Action` is called from the executor's own thread, never two at once, and is done in no time. A `SlowAction` may take
its time, and hang: it is called from a worker's thread, for as many effects at once as it takes, and never twice at
once for one of them.
"""

from collections.abc import Sequence
from typing import Any, Protocol

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
    happened: bool = False  # nothing is in force by it that would end: it just happened, or was there before
    was_there: bool = False  # it found that it is in force already, and did nothing
    later: bool = False  # what comes of it ends this process: the next one asks `resumed`


class Action(Protocol):
    """One action with the backend that carries it out on this host."""

    name: str  # as in orders: firewall-drop, …
    backend: str  # what carries it out: nftables, …
    network: bool  # it may cut this host off from its broker, so that applying is proved afterwards
    exact: bool  # the ends that `inspect` tells are those that were given; else only what is in force is compared

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """The key of the effect that an order for `target` holds. Pure. Raises InvalidTarget."""

    def prepare(self) -> None:
        """Makes what applying needs (tables, sets), and keeps effects that are there. Twice is safe.

        Raises ActionError with what is missing on this host, `iptables: not found`.
        """

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        """Puts each in force so that it ends `left` seconds from now, also when it is in force already, whatever
        end it had; where the host keeps no time, until `revert` is called. Twice is safe. A result for each, in order;
        one that fails stops no other. Done means that the effect was seen. Never raises for the host's reasons.
        """

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        """Ends each; what isn't in force is done already. As `apply` otherwise."""

    def inspect(self) -> dict[str, float | None]:
        """What is in force on the host of what is Thwart's own there, by whatever run or person: seconds left by key,
        None for until lifted, or where the host keeps no time.

        Raises ActionError.
        """

    def moved(self) -> bool:
        """True when somebody else may have changed what `inspect` tells, since it last told it; also when it never has.

        Neither our own `apply` and `revert` nor an end that has come count. Cheap: it is asked every second. Raises
        ActionError.
        """


class Call(Struct, frozen=True, kw_only=True):
    """What a slow action is to do for one effect. `alert` is that of the order that puts it in force, may be empty."""

    key: str
    target: str
    arguments: tuple[str, ...] = ()
    alert: dict[str, Any] = {}
    lasting: bool = True  # it is to be held until an end, whether it says that it can be or not
    in_force: bool = False  # by the journal


class SlowAction(Protocol):
    """One action that takes its time."""

    name: str
    backend: str
    at_once: int  # calls that it is given at most; if more than one, what comes for it is gathered for a moment
    just_happens: bool  # it has no effect that could be held, so that no order for it may have an end

    def key(self, target: str, arguments: Sequence[str], order_id: str) -> str:
        """The key of the effect that an order holds. Pure. Raises InvalidTarget."""

    def prepare(self, arguments: Sequence[str]) -> None:
        """Raises ActionError with what is missing to carry it out with these arguments. Cheap: each order asks."""

    def apply(self, calls: Sequence[Call]) -> list[Result]:
        """Puts each in force, or does what just happens. Twice is safe for what lasts. `happened` and `was_there` only
        for what isn't `lasting`. A result for each, in order. Never raises for the host's reasons, and returns within
        a time limit.
        """

    def revert(self, calls: Sequence[Call]) -> list[Result]:
        """Ends each. Twice is safe. As `apply` otherwise."""

    def resumed(self, call: Call) -> Result | None:
        """What became of what just happens when an agent began it and was gone before it ended. None: nobody knows."""
