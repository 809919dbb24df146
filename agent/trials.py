"""Trying an action out on this host, and saying what it has: for a person who wants to know before the first attack.

The rule it keeps: what is in force stays as it is. Tried is only what isn't, on a target that an order could name, and
whatever becomes of it, it is reverted.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from agent.actions.action import Action, Call, Effect, Result, SlowAction
from agent.actions.choice import Actions
from agent.actions.slow_actions import SlowActions
from agent.admission import Admission
from agent.executor import Executor
from agent.journal.journal import Journal
from shared.errors import ActionError, InvalidTarget, ThwartError

LEFT = 60.0  # s: where the host keeps the time, what a killed trial leaves ends by itself
ORDER = "trial"  # stands where an order's id does

Did = Literal["applied", "reverted"]


class ListRequest(Struct, frozen=True, kw_only=True, tag="actions"):
    """Asks what this host can carry out."""


class Offered(Struct, frozen=True, kw_only=True, order=True):
    """One action. `why_not` is empty when it can be carried out; `passed_over` says why not by something better."""

    action: str
    backend: str = ""
    why_not: str = ""
    passed_over: str = ""


class ListAnswer(Struct, frozen=True, kw_only=True):
    """All of them; or `error`."""

    actions: tuple[Offered, ...] = ()
    error: str = ""


class TrialRequest(Struct, frozen=True, kw_only=True, tag="trial"):
    """Applies an action to a target, and takes it back."""

    action: str
    target: str
    arguments: tuple[str, ...] = ()


class Step(Struct, frozen=True, kw_only=True):
    """What was done, in how many seconds, and whether the effect was there afterwards; None where nobody can tell."""

    did: Did
    problem: str
    in_force: bool | None
    took: float


class TrialAnswer(Struct, frozen=True, kw_only=True):
    """What was seen, and whether each step did what it was to do, as far as anybody can tell; or in `error` why nothing
    was tried.
    """

    works: bool = False
    backend: str = ""
    steps: tuple[Step, ...] = ()
    error: str = ""


class Trials:
    """Call it between the executor's start and its end. Raises StoreError."""

    def __init__(
        self, executor: Executor, journal: Journal, actions: Actions, slow: SlowActions, admission: Admission
    ) -> None:
        self._executor, self._journal, self._admission = executor, journal, admission
        self._actions, self._slow = actions, slow

    def list(self) -> ListAnswer:
        """What this host has, and lacks."""
        found = {
            name: Offered(action=name, backend=backend, passed_over=self._actions.passed_over.get(name, ""))
            for name, backend in self._actions.backends().items()
        }
        slow = [Offered(action=each.name, backend=each.backend, why_not=each.why_not) for each in self._slow.look()]
        lacking = [Offered(action=name, why_not=why) for name, why in self._actions.unsupported.copy().items()]
        for each in (*slow, *lacking):
            found.setdefault(each.action, each)
        return ListAnswer(actions=tuple(sorted(found.values())))

    async def try_out(self, request: TrialRequest) -> TrialAnswer:
        """What comes of it."""
        try:
            if action := self._actions.by_name.get(request.action):
                return await self._try(action, request)
            if slow := self._slow.get(request.action):
                return await self._try_slow(slow, request)
        except InvalidTarget as error:
            return TrialAnswer(error=str(error) if request.target.strip() else _wants_target(request.action))
        except ActionError as error:
            return TrialAnswer(error=str(error))
        return TrialAnswer(error=self._why_not(request.action))

    def _why_not(self, name: str) -> str:
        if why := self._actions.unsupported.get(name):
            return f"{name} can't be carried out on this host: {why}"
        return f"{name[:80]} is no action of this host; `thwart-agent action list` shows what it has"

    async def _try(self, action: Action, request: TrialRequest) -> TrialAnswer:
        key = action.key(request.target, request.arguments)
        own = self._actions.aliases.get(request.action, request.action)  # the journal's name for it
        await self._refuse(own, key, request.target)

        def carried_out() -> Sequence[Step]:
            if key in action.inspect():
                raise ActionError(_in_force(own, request.target))
            effect = Effect(key=key, target=request.target, arguments=request.arguments, left=LEFT)
            return _steps(
                lambda: action.apply([effect]), lambda: action.revert([effect]), lambda: key in action.inspect()
            )

        steps = await self._executor.between_turns(carried_out)
        return _answer(action.backend, steps)

    async def _try_slow(self, action: SlowAction, request: TrialRequest) -> TrialAnswer:
        """Nobody can look up what it did. What just happens has nothing that could be reverted."""
        key = action.key(request.target, request.arguments, ORDER)
        action.prepare(request.arguments)
        lasting = not action.just_happens
        call = Call(key=key, target=request.target, arguments=request.arguments, lasting=lasting)
        revert = (lambda: action.revert([call])) if lasting else None
        async with self._executor.errands.kept((action.name, request.target or key)) as free:
            if not free:
                raise ActionError(f"{action.name} is at work on {request.target} just now; try again in a moment")
            await self._refuse(action.name, key, request.target)
            steps = await asyncio.to_thread(_steps, lambda: action.apply([call]), revert, lambda: None)
        return _answer(action.backend, steps)

    async def _refuse(self, name: str, key: str, target: str) -> None:
        """Raises ActionError when it must not be tried on that."""
        if why := self._admission.protection()(target.strip(), False):
            raise ActionError(why)
        standing = await self._journal.standing(name)
        if key in standing.ends or key in standing.changing:
            raise ActionError(_in_force(name, target))


def _answer(backend: str, steps: Sequence[Step]) -> TrialAnswer:
    works = all(not each.problem and each.in_force in (None, each.did == "applied") for each in steps)
    return TrialAnswer(works=works, backend=backend, steps=tuple(steps))


def _steps(
    apply: Callable[[], list[Result]], revert: Callable[[], list[Result]] | None, look: Callable[[], bool | None]
) -> Sequence[Step]:
    first = _step("applied", apply, look)
    return [first] if revert is None else [first, _step("reverted", revert, look)]


def _step(did: Did, how: Callable[[], list[Result]], look: Callable[[], bool | None]) -> Step:
    began = time.monotonic()
    (result,) = how()
    took = time.monotonic() - began
    try:
        in_force, problem = look(), result.problem
    except ThwartError as error:
        in_force, problem = None, result.problem or f"what is in force can't be looked at: {error}"
    return Step(did=did, problem=problem, in_force=in_force, took=took)


def _in_force(name: str, target: str) -> str:
    return f"{name} is in force on {target} already; try another target, or lift it first"


def _wants_target(name: str) -> str:
    return f"{name} acts on a target: name one, as `thwart-agent action test {name} TARGET`"
