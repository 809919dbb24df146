"""Ships lines of one source to the managers: returns when the broker has them, however long that takes.

Nothing is kept back and nothing is dropped but the one line that can't be sent in any way.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from agent.logs.lines import Line
from shared import codec
from shared.broker import Publication
from shared.clock import Clock
from shared.errors import BrokerError, Disconnected, MessageError
from shared.ids import digest
from shared.instants import instant
from shared.messages import Cursor, LogBatch, LogLine
from shared.outbox import Sender
from shared.topology import LOGS

PAUSE_AFTER_NACK = 0.5  # s: a full queue doesn't empty faster for being asked again
PAUSE_AFTER_LOSS = 0.05

log = structlog.get_logger()


class Shipping:
    """What this agent's sources hand their lines to."""

    def __init__(
        self, agent_id: str, sender: Sender, clock: Clock, encode: Callable[[LogBatch], bytes] = codec.encode
    ) -> None:
        self._agent_id, self._sender, self._clock, self._encode = agent_id, sender, clock, encode
        self.shipped = 0  # lines that the broker confirmed
        self.skipped = 0  # lines that could not be sent in any way

    async def ship(self, source: str, file: str, some: Sequence[Line], end: int) -> None:
        """Ships `some`, which end at `end`: together, or in halves, or without the one line that can't be sent."""
        try:
            publication = self._publication(source, file, some, end)
        except (MessageError, ValueError, TypeError) as error:
            if len(some) == 1:
                self.skip(source, str(error))
                return
            half = len(some) // 2
            await self.ship(source, file, some[:half], some[half].offset)
            await self.ship(source, file, some[half:], end)
            return
        await self._send(publication)
        self.shipped += len(some)

    def skip(self, source: str, why: str) -> None:
        """Says that a line is left out."""
        self.skipped += 1
        log.warning("skipping a line that can't be sent", action="line_skipped", path=source, error=why)

    def _publication(self, source: str, file: str, some: Sequence[Line], end: int) -> Publication:
        now = self._clock.wall()
        lines = [LogLine(text=each.text, at=instant(each.text, now) or now, offset=each.offset) for each in some]
        first = some[0].offset
        batch = LogBatch(
            agent_id=self._agent_id,
            source=source,
            lines=tuple(lines),
            collected_at=now,
            cursor=Cursor(file=file, first=first, next=end),
        )
        return Publication(
            exchange=LOGS,
            routing_key=f"log.{self._agent_id}",
            kind="log",
            message_id=digest(self._agent_id, source, file, first, end),
            body=self._encode(batch),
        )

    async def _send(self, publication: Publication) -> None:
        said = False
        while True:
            await self._sender.writable()
            try:
                return await self._sender.send(publication)
            except Disconnected:
                await asyncio.sleep(PAUSE_AFTER_LOSS)
            except BrokerError as error:
                if not said:
                    log.warning("the broker takes no log lines; trying again", action="logs_refused", error=str(error))
                said = True
                await asyncio.sleep(PAUSE_AFTER_NACK)
