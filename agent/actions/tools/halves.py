"""Carrying out many things at once although one of them may be impossible: only the culprit fails."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from shared.errors import ActionError, ToolHangs

T = TypeVar("T")


def in_halves(things: Sequence[T], carry_out: Callable[[Sequence[T]], None]) -> dict[T, str]:
    """What failed, with the words of the ActionError that `carry_out` raised. What it did before that it may be told
    once more.

    All are tried at once, then the halves of what failed, until it is known who makes it fail. Nobody looks for a
    culprit when nothing at all, not even an empty list, can be carried out, or when the tool hangs.
    """
    if not things:
        return {}
    problem, hangs = _tried(things, carry_out)
    if not problem:
        return {}
    general = problem if hangs else _tried((), carry_out)[0]
    if general or len(things) == 1:
        return dict.fromkeys(things, general or problem)
    return _halves(things, carry_out)


def _halves(things: Sequence[T], carry_out: Callable[[Sequence[T]], None]) -> dict[T, str]:
    middle = len(things) // 2
    failed: dict[T, str] = {}
    for half in (things[:middle], things[middle:]):
        problem, hangs = _tried(half, carry_out)
        if problem:
            failed |= dict.fromkeys(half, problem) if hangs or len(half) == 1 else _halves(half, carry_out)
    return failed


def _tried(things: Sequence[T], carry_out: Callable[[Sequence[T]], None]) -> tuple[str, bool]:
    """What went wrong, and whether it hung."""
    try:
        carry_out(things)
    except ActionError as error:
        return str(error), isinstance(error, ToolHangs)
    return "", False
