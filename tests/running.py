"""Things that run until they are cancelled, for as long as a test needs them."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from shared.broker import Link


@asynccontextmanager
async def running(*coroutines: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Runs them beside what is inside, and cancels them after it, the last first."""
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        yield
    finally:
        for task in reversed(tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def connected(*links: Link) -> AsyncIterator[None]:
    """Runs links, and waits until all of them are connected."""
    async with running(*(link.run() for link in links)):
        async with asyncio.timeout(20):
            for link in links:
                await link.connected.wait()
        yield
