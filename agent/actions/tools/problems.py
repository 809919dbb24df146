"""What can't be done of many things: the words of whatever refused it, by key.

The rule it keeps: one that fails stops no other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from agent.actions.action import Effect, Result
from shared.errors import ActionError, InvalidTarget

Problems = dict[str, str]

T = TypeVar("T")


def results(effects: Sequence[Effect], problems: Mapping[str, str]) -> list[Result]:
    """A result for each effect, in order."""
    return [Result(key=each.key, problem=problems.get(each.key, "")) for each in effects]


def understood(keys: Iterable[str], read: Callable[[str], T]) -> tuple[dict[str, T], Problems]:
    """What each key is read as; a problem where that raises InvalidTarget, so that it gets to no tool."""
    found: dict[str, T] = {}
    problems: Problems = {}
    for key in keys:
        try:
            found[key] = read(key)
        except InvalidTarget as error:
            problems[key] = str(error)
    return found, problems


def one_by_one(do: Callable[..., object], calls: Iterable[tuple[str, Sequence[object]]]) -> Problems:
    """Calls it with the arguments of each; a problem where that raises ActionError."""
    problems: Problems = {}
    for key, arguments in calls:
        try:
            do(*arguments)
        except ActionError as error:
            problems[key] = str(error)
    return problems
