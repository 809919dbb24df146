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


def wait_for(check: Callable[[], T], within: float = 5.0) -> T:
    """`eventually`, for where no loop runs."""
    end = time.monotonic() + within
    while not (answer := check()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {_name(check)}")
        time.sleep(PAUSE)
    return answer


def _name(check: Callable[..., object]) -> str:
    return getattr(check, "__qualname__", repr(check))
