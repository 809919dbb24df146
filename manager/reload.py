"""SIGHUP: `ossec.conf` and the rules anew, whole or not at all. What is wrong with them leaves in force what is.

Everything is read and checked before anything is replaced. Settings of the program itself need a restart.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog

from manager.metrics import Metrics
from manager.startup import Loaded
from shared.clock import Clock
from shared.errors import ConfigurationError
from shared.notify import Notify

log = structlog.get_logger()


class Reload:
    """Takes a configuration over when it is asked to. Asked again while it is busy, it does it once more, not twice.

    `read` reads files, with what is in force to go by, and blocks; `follow` puts in force what was read.
    """

    def __init__(
        self,
        first: Loaded,
        read: Callable[[Loaded], Loaded],
        follow: Callable[[Loaded], Awaitable[None]],
        metrics: Metrics,
        clock: Clock,
        notify: Notify,
    ) -> None:
        self._read, self._follow, self._metrics, self._clock, self._notify = read, follow, metrics, clock, notify
        self.loaded = first  # what is in force
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[str]] = []
        self.since = clock.wall()  # when what is in force was read
        self.refused = ""  # what was wrong with the files the last time, with file and line; empty when nothing was
        # at once, because a process that has no handler yet is ended by it
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)

    async def anew(self) -> str:
        """What SIGHUP does, waited for: what was wrong with the files, and empty when they are in force."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._asked.set()
        return await answer

    async def run(self) -> None:
        """Waits for SIGHUP, or for somebody who wants it `anew`, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            # whoever asks from here on may have written a file that this turn doesn't read any more
            waiting, self._waiting = self._waiting, []
            self._notify.reloading()
            await self._reload()
            self._notify.reloaded()
            for answer in waiting:
                if not answer.done():
                    answer.set_result(self.refused)

    async def _reload(self) -> None:
        began = self._clock.wall()
        try:
            loaded = await asyncio.to_thread(self._read, self.loaded)
            await self._follow(loaded)
        except ConfigurationError as wrong:
            self._refuse(wrong)
            return
        self.loaded, self.since, self.refused = loaded, began, ""
        self._metrics.reloads.labels("ok").inc()
        log.info(
            "the configuration was read anew",
            action="configuration_read",
            responses=len(loaded.configuration.responses),
            rules=len(loaded.rules.rules),
        )

    def _refuse(self, wrong: ConfigurationError) -> None:
        self.refused = str(wrong)
        self._metrics.reloads.labels("refused").inc()
        log.error(
            "the new configuration is refused and the old one stays in force; `thwart check-config` says all that is "
            "wrong with it",
            action="configuration_refused",
            where=wrong.where(),
            error=wrong.message,
        )
