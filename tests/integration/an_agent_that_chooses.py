"""The agent daemon with every firewall of Linux, each in another network namespace than the daemon, and nothing else.

`python -m tests.integration.an_agent_that_chooses NAMESPACE CONFIG`.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from agent import app
from agent.actions.action import Action
from agent.actions.catalogue import BUILT_IN, FIREWALL, Candidate
from agent.actions.choice import Actions
from shared import log, settings
from shared.settings import ActionsSettings
from tests.contract.subject import There
from tests.stage.network import Host


def main(namespace: str, config: str) -> None:
    """Runs until SIGTERM."""
    host = Host("web1", Path(namespace).name, ())

    def there(candidate: Candidate) -> Candidate:
        made: list[Action] = []

        def make(given: ActionsSettings) -> Action:
            made.extend(() if made else [There(host, lambda: candidate.make(given))])
            return made[0]

        return Candidate(make, candidate.systems)

    catalogue = {FIREWALL: tuple(there(each) for each in BUILT_IN[FIREWALL] if "Linux" in each.systems)}
    chosen: Callable[[ActionsSettings], Actions] = lambda given: Actions(given, catalogue)  # noqa: E731
    found = settings.load(settings.AgentSettings, Path(config))
    log.configure(found.log)
    asyncio.run(app.run(found, parts=app.Parts(actions=chosen)))


if __name__ == "__main__":
    main(*sys.argv[1:])
