"""What a person on a host asks of its agent, whether the daemon runs or not: it answers, or this does in its place."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path

from agent import folder, host, identity
from agent.actions.scripts.scripts import Scripts
from agent.actions.slow_actions import SlowActions, built_in, webhook
from agent.admission import Admission
from agent.app import PATIENCE, REAL, Parts, allowed
from agent.backends import Backends
from agent.control import LiftAnswer, LiftRequest, Request, SomeAnswer, ask, lift
from agent.executor import Executor
from agent.journal.schema import SCHEMA
from agent.metrics import AgentMetrics
from agent.trials import ListAnswer, ListRequest, TrialAnswer, TrialRequest, Trials
from agent.trouble import Trouble
from shared.errors import FolderInUse, Unreachable
from shared.settings import AgentSettings
from shared.store import Store

ATTEMPTS, PAUSE = 15, 0.2  # s: a daemon that starts, or stops, has the lock and doesn't listen


async def lift_here(settings: AgentSettings, request: LiftRequest, parts: Parts = REAL) -> LiftAnswer:
    """Carries a lift out. Raises Unreachable, ActionError, StoreError."""
    return await _here(settings, request, LiftAnswer, lambda alone: alone.lift(request), parts)


async def list_here(settings: AgentSettings, parts: Parts = REAL) -> ListAnswer:
    """What this host can carry out. Raises Unreachable, StoreError."""
    return await _here(settings, ListRequest(), ListAnswer, lambda alone: alone.list(), parts)


async def try_here(settings: AgentSettings, request: TrialRequest, parts: Parts = REAL) -> TrialAnswer:
    """Tries an action out. Raises Unreachable, StoreError."""
    return await _here(settings, request, TrialAnswer, lambda alone: alone.try_out(request), parts)


async def _here(
    settings: AgentSettings,
    request: Request,
    answer: type[SomeAnswer],
    carry_out: Callable[["_Alone"], Awaitable[SomeAnswer]],
    parts: Parts,
) -> SomeAnswer:
    state = Path(settings.agent.state_dir)
    for _ in range(ATTEMPTS):
        if (answered := await ask(state, request, answer)) is not None:
            return answered
        try:
            with folder.owned(state), closing(folder.opened(state / folder.JOURNAL, SCHEMA)) as store:
                alone = _Alone(settings, store, parts)
                try:
                    return await carry_out(alone)
                finally:  # else what is out would keep this process from ending
                    await alone.end()
        except FolderInUse:
            await asyncio.sleep(PAUSE)
    raise Unreachable(f"an agent has {state} and doesn't answer; look at its log, or stop it and try again")


class _Alone:
    """With the same journal and executor as the daemon's. What is to be said is in the outbox, for its next start."""

    def __init__(self, settings: AgentSettings, store: Store, parts: Parts) -> None:
        self._settings, mine = settings, identity.settled(settings)
        self._actions, self._trouble = parts.actions(settings.actions), Trouble()
        self._journal = parts.journal(store, mine, host.boot_id(), parts.clock())
        channel = webhook(settings.actions)
        self._slow = SlowActions(built_in(settings.actions, channel, mine, daemon=False), Scripts(settings.agent, mine))
        self._executor = Executor(
            self._journal,
            self._actions.own,
            metrics=AgentMetrics(),
            trouble=self._trouble,
            slow=self._slow,
            unsupported=self._actions.unsupported,
        )
        self._backends = Backends(self._actions, self._executor, self._journal, self._trouble)
        self._addresses = host.BrokerAddresses(settings.broker.urls)
        self._admission = Admission(
            mine,
            settings.agent.roles,
            self._actions.by_name,
            allow=allowed(settings),
            automatic=lambda: host.protected(self._addresses.known()),
            slow=self._slow,
        )
        self._trials = Trials(self._executor, self._journal, self._actions, self._slow, self._admission)

    async def lift(self, request: LiftRequest) -> LiftAnswer:
        await asyncio.to_thread(self._slow.kill_left_over)
        await self._backends.choose()
        await self._backends.leave_former()
        errands = asyncio.create_task(self._executor.errands.run())
        try:
            return await lift(self._executor, request)
        finally:
            self._executor.errands.stop()
            await asyncio.wait([errands])

    async def list(self) -> ListAnswer:
        await self._backends.choose()
        return self._trials.list()

    async def try_out(self, request: TrialRequest) -> TrialAnswer:
        await asyncio.to_thread(self._slow.kill_left_over)
        await self._backends.choose()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self._addresses.look_up), PATIENCE)
        self._admission.follow(await self._journal.ruling())
        return await self._trials.try_out(request)

    async def end(self) -> None:
        await self._executor.errands.end(self._settings.agent.script_timeout)
        self._executor.close()
