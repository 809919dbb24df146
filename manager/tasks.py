"""Coroutines that run side by side for as long as the daemon does, and what ends them."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from shared.errors import StoreError

log = structlog.get_logger()


class Tasks:
    """Coroutines that run until they are stopped. One that ends by itself is the end of the daemon."""

    def __init__(self, *coroutines: Coroutine[Any, Any, None]) -> None:
        self._tasks = [asyncio.create_task(each) for each in coroutines]

    async def ended(self) -> None:
        """Returns never; raises what ended one of them."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()

    async def stop(self) -> None:
        """Cancels all and waits until they are gone."""
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def every(pause: float, work: Callable[[], Awaitable[object]]) -> None:
    """Does `work` again and again. A ledger that can't be written is said, and the next turn tries anew."""
    while True:
        await asyncio.sleep(pause)
        try:
            await work()
        except StoreError as error:
            log.error("the ledger can't be written", action="store_failed", error=str(error))


async def until_told_to_stop(*groups: Tasks) -> None:
    """Returns on SIGTERM or SIGINT. Raises what ended a task of the groups."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    waiting = [asyncio.create_task(stop.wait()), *(asyncio.create_task(group.ended()) for group in groups)]
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in waiting:
            each.cancel()
