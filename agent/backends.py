"""Looks for what carries actions out here: at the start, and each minute for what is missing.

The rule it keeps: nobody is blocked by two backends, nor by none in between. What carried an action out in an earlier
run and doesn't any more is emptied once what does has it all.
"""

import asyncio
from collections.abc import Collection

import structlog

from agent.actions.action import Action
from agent.actions.choice import Actions
from agent.executor import Executor
from agent.journal.journal import Journal
from agent.trouble import Trouble
from shared.errors import ActionError

LOOK = 60.0  # s between two looks for what is missing

log = structlog.get_logger()


class Backends:
    """Call `choose` before `executor.start`, `leave_former` after it, and `look` from time to time. Each raises
    StoreError.
    """

    def __init__(self, actions: Actions, executor: Executor, journal: Journal, trouble: Trouble) -> None:
        self._actions, self._executor, self._journal, self._trouble = actions, executor, journal, trouble
        self._former: list[tuple[str, Action]] = []

    async def choose(self) -> None:
        """Chooses, and says aloud if nothing here can block."""
        before = await self._journal.backends()
        await self._choose(None)
        known = {name for name, _ in before}
        # Of an action that no journal tells of, whatever there may be on such a host could have something in force.
        self._former = [
            (name, each)
            for name in self._actions.own
            for each in self._actions.others(name)
            if name not in known or (name, each.backend) in before
        ]

    async def leave_former(self) -> None:
        """Takes off what earlier runs have in force by what isn't used any more."""
        known = await self._journal.backends()
        for name, former in tuple(self._former):
            used = (name, former.backend) in known
            try:
                problem = await self._executor.take_over(name, former, used=used)
            except ActionError as error:
                problem = str(error) if used else ""
            if problem:
                self._trouble.say(f"former {name}", f"what {former.backend} has in force for {name}: {problem}")
            else:
                self._former.remove((name, former))
                await self._journal.leave([(name, former.backend)])
                self._trouble.over(f"former {name}")

    async def look(self) -> None:
        """Uses what has appeared since, and tries again to leave what couldn't be."""
        if names := await asyncio.to_thread(self._actions.look):
            await self._choose(names)
            await self._executor.anew()
        self._tell()
        await self.leave_former()

    async def _choose(self, names: Collection[str] | None) -> None:
        await self._executor.between_turns(lambda: self._actions.choose(names))
        backends = {name: action.backend for name, action in self._actions.own.items()}
        await self._journal.use(backends, self._actions.aliases)
        self._tell()

    def _tell(self) -> None:
        if lack := self._actions.lack():
            self._trouble.say("firewall", lack)
        else:
            self._trouble.over("firewall")
