"""The real agent daemon, which misses the broker's word sooner than it ships. `… --config CONFIG`."""

import asyncio
import sys
from pathlib import Path

from agent import app
from agent.self_test import Timing
from shared import log, settings

QUICK = Timing(proof=1.0, probe=1.0, longest=2.0)


def main(config: str) -> None:
    """Runs until SIGTERM."""
    found = settings.load(settings.AgentSettings, Path(config))
    log.configure(found.log)
    asyncio.run(app.run(found, parts=app.Parts(self_test=QUICK)))


if __name__ == "__main__":
    main(sys.argv[-1])
