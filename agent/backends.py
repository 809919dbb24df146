"""Looks for what carries actions out here: at the start, and each minute for what is missing.

The rule it keeps: nobody is blocked by two backends, nor by none in between. What carried an action out in an earlier
run and doesn't any more is emptied once what does has it all.
"""

import asyncio
from collections.abc import Collection, Mapping

from agent.actions.action import Action
from agent.actions.choice import Actions
from agent.executor import Executor
from agent.journal.journal import Journal
from agent.journal.planning import Name
from agent.trouble import Trouble
from shared.errors import ActionError

LOOK = 60.0  # s between two looks for what is missing


class Backends:
    """Call `choose` before `executor.start`, `leave_former` after it, and `look` from time to time. Each raises
    StoreError.
    """

    def __init__(self, actions: Actions, executor: Executor, journal: Journal, trouble: Trouble) -> None:
        self._actions, self._executor, self._journal, self._trouble = actions, executor, journal, trouble
        self._former: dict[tuple[str, Action], bool] = {}  # True: it was used, for sure

    async def choose(self, names: Collection[str] | None = None) -> None:
        """For each of `names`, None: of whatever has none; and says aloud if nothing here can block."""
        had = set(self._actions.own)
        await self._executor.between_turns(lambda: self._actions.choose(names))
        chosen = {name: action.backend for name, action in self._actions.own.items()}
        former = self._formers(chosen.keys() - had, await self._journal.backends())
        await self._journal.use(chosen, self._actions.aliases, [(name, each.backend) for name, each in former])
        for (name, each), used in former.items():
            self._former[name, each] = used
            if used:
                self._executor.formers.add(name, each)
        self._tell()

    async def leave_former(self) -> None:
        """Takes off what earlier runs have in force by what isn't used any more."""
        for (name, former), used in tuple(self._former.items()):
            try:
                problem = await self._executor.take_over(name, former, used=used)
            except ActionError as error:
                problem = str(error) if used or self._executor.formers.has(name, former) else ""
            if problem:
                self._trouble.say(f"former {name}", f"what {former.backend} has in force for {name}: {problem}")
            else:
                await self._journal.leave([(name, former.backend)])
                del self._former[name, former]
                self._executor.formers.remove(name, former)
                self._trouble.over(f"former {name}")

    async def look(self) -> None:
        """Uses what has appeared since, and tries again to leave what couldn't be."""
        if names := await asyncio.to_thread(self._actions.look):
            await self.choose(names)
            await self._executor.anew()
        self._tell()
        await self.leave_former()

    def _formers(self, names: Collection[str], known: Mapping[Name, bool]) -> dict[tuple[str, Action], bool]:
        """What may have something in force for these actions and isn't used for it; True when it was, for sure. Of an
        action that no journal tells of that is whatever there may be on such a host.
        """
        told = {name for name, _ in known}
        return {
            (name, each): known.get((name, each.backend), False)
            for name in names
            for each in self._actions.others(name)
            if name not in told or (name, each.backend) in known
        }

    def _tell(self) -> None:
        if lack := self._actions.lack():
            self._trouble.say("firewall", lack)
        else:
            self._trouble.over("firewall")
