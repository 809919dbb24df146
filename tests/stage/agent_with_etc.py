"""The real agent daemon, whose actions change files in its /etc and nothing else does: no firewall.

`python -m tests.stage.agent_with_etc CONFIG`, behind `enter.own_etc`.
"""

import asyncio
import sys
from pathlib import Path

from agent import app
from agent.actions.catalogue import BUILT_IN
from agent.actions.choice import Actions
from shared import log, settings

WHAT = ("host-deny", "disable-account")


def main(config: str) -> None:
    """Runs until SIGTERM."""
    found = settings.load(settings.AgentSettings, Path(config))
    log.configure(found.log)
    some = {name: BUILT_IN[name] for name in WHAT}
    asyncio.run(app.run(found, parts=app.Parts(actions=lambda wanted: Actions(wanted, some))))


if __name__ == "__main__":
    main(*sys.argv[1:])
