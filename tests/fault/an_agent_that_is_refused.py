"""The agent daemon in every part but one: its kernel refuses to have anything to do with some hosts.

`python -m tests.fault.an_agent_that_is_refused NAMESPACE CONFIG HOST …`
"""

import asyncio
import sys
from pathlib import Path

from agent import app
from shared import log, settings
from tests.contract.subject import Spoilt
from tests.stage.agent_elsewhere import Elsewhere
from tests.stage.only import only


def main(namespace: str, config: str, *hosts: str) -> None:
    """Runs until SIGTERM."""

    def spoilt() -> Spoilt:
        kernel = Spoilt()
        kernel.hosts.update(hosts)
        return kernel

    found = settings.load(settings.AgentSettings, Path(config))
    log.configure(found.log)
    parts = app.Parts(actions=only(Elsewhere(Path(namespace), spoilt)))
    asyncio.run(app.run(found, parts=parts))


if __name__ == "__main__":
    main(*sys.argv[1:])
