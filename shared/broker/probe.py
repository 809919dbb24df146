"""Whether the broker can be reached at all: asked on a fresh connection, which is closed again."""

import asyncio
import errno
import os
from typing import Literal

from msgspec.structs import replace

from shared.broker.link import Link
from shared.errors import BrokerError
from shared.settings import BrokerSettings

# It lets us in; somebody at its address says that no broker runs there; nothing at all comes back, or nothing of use.
Reach = Literal["open", "refused", "silent"]


async def reach(settings: BrokerSettings, within: float) -> Reach:
    """The best that any of the broker's addresses answers within so many seconds to TCP, TLS, login and a channel.

    A broker that takes no messages, because its disk or memory is short, is open.
    """
    asked = [asyncio.create_task(_ask(replace(settings, urls=(url,)), within)) for url in settings.urls]
    heard: set[Reach] = set()
    try:
        # All at once: one that is silent takes all the time that there is.
        for answer in asyncio.as_completed(asked):
            heard.add(await answer)
            if "open" in heard:
                return "open"
        return "refused" if "refused" in heard else "silent"
    finally:
        for each in asked:
            each.cancel()


async def _ask(settings: BrokerSettings, within: float) -> Reach:
    return await _Probe(settings, "probe", ()).reach(within)


class _Probe(Link):
    """A connection that is made once."""

    async def reach(self, within: float) -> Reach:
        try:
            async with asyncio.timeout(within):
                await self._connect()
        except TimeoutError:
            return "silent"
        except BrokerError as error:
            return "refused" if os.strerror(errno.ECONNREFUSED) in str(error) else "silent"
        finally:
            await self._close()
        return "open"
