"""The agent daemon in every part but one: where the test says, it stops. Its firewall is another namespace's.

`python -m tests.fault.an_agent_that_stops NAMESPACE CONFIG MARK POINT`, with a point of `POINTS`.
"""

import asyncio
import sys
from functools import partial
from pathlib import Path

from agent import app
from agent.journal.journal import Journal
from agent.journal.taking import Incoming
from shared import log, settings, topology
from tests.fault.stopping import Point, StoppingPublisher
from tests.stage.agent_elsewhere import Elsewhere
from tests.stage.only import only

# Between the broker's delivery and the broker's confirm of the answer, in order …
TAKING = (
    *("arrived", "taken", "applying", "applied", "answered"),
    *("sending acknowledgement", "sent acknowledgement", "confirmed acknowledgement"),
)
# … and from the moment that a block is over to the broker's confirm of its expiry event.
ENDING = ("reverting", "reverted", "ended", "sending expiry", "confirmed expiry")
HALFWAY = "half applied"  # of what one turn has to apply
RULED = "ruled"  # an allowlist is in the journal, and nothing has been done about it
POINTS = (*TAKING, *ENDING, HALFWAY, RULED)


class StoppingJournal(Journal):
    """Stops before orders are written down, after that, and after it was written down what became of them."""

    point: Point

    async def take(self, things):
        self.point("arrived", any(isinstance(each, Incoming) for each in things))  # and not the allowlist alone
        taken = await super().take(things)
        self.point("taken", taken.fresh)
        self.point(RULED, any(ends for _, ends in taken.ruled))
        return taken

    async def settle(self, turn, outcomes):
        settled = await super().settle(turn, outcomes)
        self.point("answered", settled.acknowledgements)
        self.point("ended", settled.expiries)
        return settled


class StoppingAction(Elsewhere):
    """Stops before and after the kernel changes."""

    point: Point

    def apply(self, effects):
        self.point("applying")
        middle = len(effects) // 2
        results = super().apply(effects[:middle])
        self.point(HALFWAY, middle)
        results += super().apply(effects[middle:])
        self.point("applied")
        return results

    def revert(self, effects):
        self.point("reverting")
        results = super().revert(effects)
        self.point("reverted")
        return results


def main(namespace: str, config: str, mark: str, point: str) -> None:
    """Runs until SIGTERM, or SIGKILL."""
    assert point in POINTS
    StoppingJournal.point = StoppingAction.point = StoppingPublisher.point = Point(point, mark)
    found = settings.load(settings.AgentSettings, Path(config))
    log.configure(found.log)
    declared = (*topology.exchanges(), *topology.manager_queues(found.broker.queue_type))
    parts = app.Parts(
        actions=only(StoppingAction(Path(namespace))),
        journal=StoppingJournal,
        publisher=partial(StoppingPublisher, name="publish", declarations=declared),
    )
    asyncio.run(app.run(found, parts=parts))


if __name__ == "__main__":
    main(*sys.argv[1:])
