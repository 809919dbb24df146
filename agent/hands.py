"""The hands of the executor: the one thread in which actions are called, and what a turn makes them do.

The rule they keep: reverts first, then applies, each action's in one call, each effect with the time that it has left
as the call begins. They ask nobody and write nothing down.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agent.actions.action import Action, Effect, Result
from agent.errands import not_here
from agent.formers import Formers
from agent.journal.planning import FOREVER, Name, Turn, Work
from agent.journal.settling import DONE, Outcome
from agent.reconcile import NEAR

SLICE = 1_000  # effects in one call of an action
LEAST = 0.001  # s: a kernel takes 0 as "for ever"

T = TypeVar("T")
_How = Callable[[str, Action, Sequence[Effect]], list[Result]]


class Hands:
    """`boot` reads the boot clock. `doubt` is called when a call took so long that what it did may end too late: the
    process was stopped in between, perhaps. `unsupported` says what this host lacks for what isn't among `actions`.
    """

    def __init__(
        self,
        actions: Mapping[str, Action],
        unsupported: Mapping[str, str],
        *,
        boot: Callable[[], float],
        doubt: Callable[[], None],
    ) -> None:
        self.formers = Formers()
        self._actions, self._unsupported, self._boot, self._doubt = actions, unsupported, boot, doubt
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="actions")

    async def do(self, work: Callable[[], T]) -> T:
        """Does this in the thread in which all actions are called."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def carry_out(self, turn: Turn, off: Collection[Name]) -> dict[Name, Outcome]:
        """What became of each of the turn's works. What is `off` is kept off the host, though it is to be in force."""
        return await self.do(lambda: self._carry_out(turn, off))

    def may_cut_off(self, work: Work) -> bool:
        """Whether this may cut the host off from its broker."""
        action = self._actions.get(work.action)
        return action is not None and action.network

    def close(self) -> None:
        """Waits for the action that is under way."""
        self._thread.shutdown()

    def _carry_out(self, turn: Turn, off: Collection[Name]) -> dict[Name, Outcome]:
        def is_off(work: Work) -> bool:
            return bool(off) and work.name in off

        reverts = self._do(turn.works, lambda work: work.revert or (work.apply and is_off(work)), self._revert)
        applies = self._do(turn.works, lambda work: work.apply and not is_off(work), _apply)
        names = [work.name for work in turn.works]
        return {name: Outcome(revert=reverts.get(name, DONE), apply=applies.get(name, DONE)) for name in names}

    def _do(self, works: Sequence[Work], wanted: Callable[[Work], bool], how: _How) -> dict[Name, Result]:
        by_action: dict[str, list[Work]] = defaultdict(list)
        for work in filter(wanted, works):
            by_action[work.action].append(work)
        return {
            (name, result.key): result
            for name, some in by_action.items()
            for start in range(0, len(some), SLICE)
            for result in self._slice(name, some[start : start + SLICE], how)
        }

    def _slice(self, name: str, works: Sequence[Work], how: _How) -> list[Result]:
        """With the time left as it is now: of very many, the last would end as much later as the others took."""
        boot = self._boot()
        results = self._results(name, [_effect(work, boot) for work in works], how)
        if self._boot() - boot > NEAR:
            self._doubt()
        return results

    def _results(self, name: str, effects: list[Effect], how: _How) -> list[Result]:
        action = self._actions.get(name)
        if action is None:
            problem = not_here(name, self._unsupported.get(name, ""))
            return [Result(key=each.key, problem=problem) for each in effects]
        return how(name, action, effects)

    def _revert(self, name: str, action: Action, effects: Sequence[Effect]) -> list[Result]:
        return self.formers.revert(name, effects, action.revert(effects))


def _apply(name: str, action: Action, effects: Sequence[Effect]) -> list[Result]:
    return action.apply(effects)


def _effect(work: Work, boot: float) -> Effect:
    left = None if work.ends == FOREVER else max(work.ends - boot, LEAST)
    return Effect(key=work.key, target=work.target, arguments=work.arguments, left=left)
