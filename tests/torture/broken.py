"""Builds of the agent that break the promise on purpose, so that it can be seen that the judge sees it.

`python -m tests.torture.broken BUILD --config FILE`. Each is the real daemon in every part but one.
"""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from agent import app
from agent.journal.journal import Journal
from shared import log, settings, topology
from shared.broker import Consumer


class AckedFirst(Consumer):
    """Tells the broker to forget orders before they are in the journal."""

    async def batch(self, queue, limit=1_000):
        deliveries = await super().batch(queue, limit)
        super().ack_through(deliveries[-1])
        return deliveries

    def ack_through(self, delivery):
        pass


class Forgetful(Journal):
    """Loses the tombstones of what was lifted, in the transaction that made them."""

    async def _write(self, work):
        def forgetting(connection, now):
            result = work(connection, now)
            connection.execute("DELETE FROM tombstones")
            return result

        return await super()._write(forgetting)


BUILDS: Mapping[str, app.Parts] = {
    "ack-before-commit": app.Parts(
        consumer=lambda broker, lock, queue: AckedFirst(
            broker, "consume", (*topology.exchanges(), lock, queue), [queue.name]
        )
    ),
    "lost-tombstone": app.Parts(journal=Forgetful),
}


def main(build: str, config: str) -> None:
    """Runs until SIGTERM, or SIGKILL."""
    found = settings.load(settings.AgentSettings, Path(config))
    log.configure(found.log)
    asyncio.run(app.run(found, parts=BUILDS[build]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[-1])
