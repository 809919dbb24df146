"""Waiting for a condition with a limit, so that no test sleeps and none hangs."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE = 0.005  # s between two looks


async def eventually(check: Callable[[], T | Awaitable[T]], within: float = 5.0) -> T:
    """The first true answer of `check`, which may be a coroutine function. Fails after `within` seconds."""
    end = time.monotonic() + within
    while True:
        answer = check()
        answer = await answer if inspect.isawaitable(answer) else answer
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {_name(check)}")
        await asyncio.sleep(PAUSE)


def wait_for(check: Callable[[], T], within: float = 5.0, pause: float = PAUSE) -> T:
    """`eventually`, for where no loop runs. A longer `pause` (s) is for looks that cost something."""
    end = time.monotonic() + within
    while not (answer := check()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {_name(check)}")
        time.sleep(pause)
    return answer


def wait_until_none(look: Callable[[], list[str]], within: float, pause: float = PAUSE) -> None:
    """Returns when nothing is left to say. Fails after `within` seconds with what there still was."""
    left: list[str] = []

    def none() -> bool:
        left[:] = look()
        return not left

    try:
        wait_for(none, within, pause)
    except AssertionError:
        raise AssertionError(f"not within {within} s: {'; '.join(left)}") from None


def _name(check: Callable[..., object]) -> str:
    return getattr(check, "__qualname__", repr(check))
