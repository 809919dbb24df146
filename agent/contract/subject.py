"""What the contract is held against: an action, and the ways to look at it and to disturb it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from agent.actions.action import Action
from agent.actions.tools.tool import Tools


class Subject(Protocol):
    """An action that is prepared, with nothing in force. `examples` and `many` are keys."""

    action: Action
    examples: Sequence[str]  # three at least; one whose spelling is part of another's, and of addresses both families
    many: Sequence[str]  # as many as may come at once: a thousand, or a few where each takes a program of its own

    def seen(self) -> Collection[str]:
        """What is in force, told by somebody else than the action: the kernel, the tool, what it keeps out."""

    def flush(self) -> None:
        """Somebody else clears away what is in force, and what `prepare` made, if that can be. Twice is safe."""

    def later(self) -> None:
        """So much time passes as the action may take to notice what others did; nothing to do where it is told."""

    def restarted(self) -> Action:
        """The same action on the same host, as an agent makes it that has just started. Not prepared."""


class Ending(Subject, Protocol):
    """The host keeps the time: an effect ends also when the agent is dead."""

    def ends(self, key: str, left: float) -> None:
        """Returns when `key` isn't in force any more, soon after `left` seconds. Fails when it stays."""


class Spoiling(Subject, Protocol):
    """One thing can be made impossible from outside."""

    def spoil(self, key: str) -> None:
        """From now on the host can't carry out `key`."""


class Programmed(Subject, Protocol):
    """An action that runs programs of the host."""

    tools: Tools  # with which `action` was made
    programs: Sequence[str]  # every one that it needs

    def made(self, tools: Tools) -> Action:
        """The same action on the same host with these tools. Not prepared."""


class Stopwatch:
    """A clock for a `Lookout`, moved on by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now
