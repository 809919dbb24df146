"""The real agent daemon, whose actions change the firewall of another network namespace and nothing else does.

So that its broker can be the one of the whole session. `python -m tests.stage.agent_elsewhere NAMESPACE CONFIG`.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from agent import app
from agent.actions.action import Effect, Result
from agent.actions.firewall_drop.libnftables import Libnftables
from agent.actions.firewall_drop.nftables import Kernel, Nftables
from shared import log, settings
from tests.stage import enter
from tests.stage.only import only


class Elsewhere(Nftables):
    """`firewall-drop` in the namespace at `path`: the executor's thread enters it with its first call."""

    def __init__(self, path: Path, kernel: Callable[[], Kernel] = Libnftables) -> None:
        super().__init__(kernel)
        self._path = path
        self._entered = threading.local()

    def prepare(self) -> None:
        self._enter()
        super().prepare()

    def apply(self, effects: Sequence[Effect]) -> list[Result]:
        self._enter()
        return super().apply(effects)

    def revert(self, effects: Sequence[Effect]) -> list[Result]:
        self._enter()
        return super().revert(effects)

    def _enter(self) -> None:
        if not getattr(self._entered, "done", False):
            enter.set_network(self._path)
            self._entered.done = True


def main(namespace: str, config: str) -> None:
    """Runs until SIGTERM."""
    found = settings.load(settings.AgentSettings, Path(config))
    log.configure(found.log)
    asyncio.run(app.run(found, parts=app.Parts(actions=only(Elsewhere(Path(namespace))))))


if __name__ == "__main__":
    main(*sys.argv[1:])
