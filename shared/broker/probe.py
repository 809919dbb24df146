"""Whether the broker can be reached at all: asked on a fresh connection, which is closed again."""

import asyncio

from msgspec.structs import replace

from shared.broker.link import Link
from shared.errors import BrokerError
from shared.settings import BrokerSettings


async def reachable(settings: BrokerSettings, within: float) -> bool:
    """Whether one of the broker's addresses lets us in within so many seconds: TCP, TLS, login, a channel.

    A broker that takes no messages, because its disk or memory is short, can be reached.
    """
    asked = [asyncio.create_task(_lets_in(replace(settings, urls=(url,)), within)) for url in settings.urls]
    try:
        # All at once: one that is silent takes all the time that there is.
        for answer in asyncio.as_completed(asked):
            if await answer:
                return True
        return False
    finally:
        for each in asked:
            each.cancel()


async def _lets_in(settings: BrokerSettings, within: float) -> bool:
    return await _Probe(settings, "probe", ()).lets_in(within)


class _Probe(Link):
    """A connection that is made once."""

    async def lets_in(self, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                await self._connect()
        except (TimeoutError, BrokerError):
            return False
        finally:
            await self._close()
        return True
