"""Actions that an installed package brings: classes named by entry points of the group `thwart.actions`.

The rule it keeps: whatever such a class raises or returns, the agent goes on, and the order's answer says whose mistake
it was. Only time is not its to bound: a call that takes its time holds up every order, so that what has to wait for
something is a script.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import msgspec

from agent.actions.action import Action, Effect, Result
from shared.actions import SCRIPT
from shared.errors import ActionError, InvalidTarget, TargetError

GROUP = "thwart.actions"
LONGEST = 300  # characters of somebody's words that are passed on
MISTAKES = (Exception, SystemExit)  # whatever it raises; who has written scripts says sys.exit("why not")
NOBODYS = "no installed package has an action of that name, and [actions.own.{}] has settings for it"
PARTS = ("name", "backend", "network", "exact", "key", "prepare", "apply", "revert", "inspect", "moved")

T = TypeVar("T")


def found() -> Iterator[EntryPoint]:
    """Every one that is installed where this program is; of two with one name the first."""
    seen = set()
    for each in entry_points(group=GROUP):
        if each.name not in seen:
            seen.add(each.name)
            yield each


def odd(own: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What is odd about these settings, `[actions.own.NAME]` each."""
    there = {each.name: each for each in found()}
    for name, settings in own.items():
        try:
            if name not in there:
                raise ActionError(NOBODYS.format(name))
            made(there[name], settings)
        except ActionError as error:
            yield f"{name}: {error}"


def made(entry: EntryPoint, settings: Mapping[str, Any]) -> "Custom":
    """The action, made with its own settings as keyword arguments. Raises ActionError with what is wrong with it."""
    try:
        action = entry.load()(**settings)
        missing = [each for each in PARTS if not hasattr(action, each)]  # a property is somebody's code, too
    except MISTAKES as error:
        raise ActionError(f"{entry.value} can't be used: {_words(error)}") from error
    if missing:
        raise ActionError(f"{entry.value} is no action: it has no {', '.join(missing)}")
    if action.name != entry.name:
        raise ActionError(f"{entry.value} calls itself {action.name!r}, and its entry point {entry.name!r}")
    if action.backend == SCRIPT:  # managers would take it for one, which just happens
        raise ActionError(f"{entry.value} has the backend {SCRIPT!r}, which is what files in the script folder have")
    return Custom(action, entry.value)


class Custom:
    """Implements `Action` with one that may make mistakes; `origin` is where that is from."""

    def __init__(self, action: Action, origin: str) -> None:
        self.name, self.backend = str(action.name), str(action.backend)
        self.network, self.exact = bool(action.network), bool(action.exact)
        self._action, self._origin = action, origin

    def key(self, target: str, arguments: Sequence[str]) -> str:
        """Raises InvalidTarget also for a target that its author didn't think of."""
        try:
            return _checked(self._action.key(target, arguments), str)
        except TargetError:
            raise
        except MISTAKES as error:
            raise InvalidTarget(f"{self._origin}.key failed on it: {_words(error)}") from error

    def prepare(self) -> None:
        self._careful("prepare", self._action.prepare)

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out("apply", effects, self._action.apply)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        return self._carry_out("revert", effects, self._action.revert)

    def inspect(self) -> dict[str, float | None]:
        return self._careful("inspect", lambda: _checked(self._action.inspect(), dict[str, float | None]))

    def moved(self) -> bool:
        return bool(self._careful("moved", self._action.moved))

    def _careful(self, what: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except ActionError:
            raise
        except MISTAKES as error:
            raise ActionError(f"{self._origin}.{what} failed: {_words(error)}") from error

    def _carry_out(
        self, what: str, effects: Sequence[Effect], how: Callable[[Sequence[Effect]], list[Result]]
    ) -> list[Result]:
        try:
            results = self._careful(what, lambda: _checked(list(how(effects)), list[Result]))
        except ActionError as error:
            problem = _words(error) or f"{self._origin}.{what} failed, and didn't say why"
            return [Result(key=each.key, problem=problem) for each in effects]
        if [each.key for each in results] != [each.key for each in effects]:
            problem = f"{self._origin}.{what} didn't answer with a result for each effect, in order"
            return [Result(key=each.key, problem=problem) for each in effects]
        return results


def _checked(told: Any, kind: type[T]) -> T:
    """What it told, if it is of that kind and can be written down. Raises TypeError, ValueError."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=kind)


def _words(error: BaseException) -> str:
    said = str(error) if isinstance(error, ActionError) else f"{type(error).__name__}: {error}"
    return said[:LONGEST].encode(errors="backslashreplace").decode()
