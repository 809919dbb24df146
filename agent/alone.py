"""A lift on a host, whether its daemon runs or not: the daemon does it, or this does the same in its place."""

import asyncio
from pathlib import Path

from agent import folder, host
from agent.actions.scripts import Scripts
from agent.actions.slow_actions import SlowActions
from agent.app import REAL, Parts, agent_id
from agent.backends import Backends
from agent.control import LiftAnswer, LiftRequest, ask, lift
from agent.executor import Executor
from agent.journal.schema import SCHEMA
from agent.metrics import AgentMetrics
from agent.trouble import Trouble
from shared.errors import FolderInUse, Unreachable
from shared.settings import AgentSettings

ATTEMPTS, PAUSE = 15, 0.2  # s: a daemon that starts, or stops, has the lock and doesn't listen


async def lift_here(settings: AgentSettings, request: LiftRequest, parts: Parts = REAL) -> LiftAnswer:
    """Carries a lift out. Raises Unreachable, ActionError, StoreError."""
    state = Path(settings.agent.state_dir)
    for _ in range(ATTEMPTS):
        if (answer := await ask(state, request)) is not None:
            return answer
        try:
            with folder.owned(state):
                return await _alone(settings, state, request, parts)
        except FolderInUse:
            await asyncio.sleep(PAUSE)
    raise Unreachable(f"an agent has {state} and doesn't answer; look at its log, or stop it and try again")


async def _alone(settings: AgentSettings, state: Path, request: LiftRequest, parts: Parts) -> LiftAnswer:
    """With the same journal and executor as the daemon's. What is to be said is in the outbox, for its next start."""
    store = folder.opened(state / folder.JOURNAL, SCHEMA)
    try:
        journal = parts.journal(store, agent_id(settings), host.boot_id(), parts.clock())
        actions, trouble = parts.actions(settings.actions), Trouble()
        slow = SlowActions((), Scripts(settings.agent, agent_id(settings)))
        executor = Executor(
            journal, actions.own, metrics=AgentMetrics(), trouble=trouble, slow=slow, unsupported=actions.unsupported
        )
        backends = Backends(actions, executor, journal, trouble)
        await asyncio.to_thread(slow.kill_left_over)
        await backends.choose()
        await backends.leave_former()
        errands = asyncio.create_task(executor.errands.run())
        answer = await lift(executor, request)
        executor.errands.stop()
        await asyncio.wait([errands])
        await executor.errands.end(settings.agent.script_timeout)
        executor.close()
        return answer
    finally:
        store.close()
