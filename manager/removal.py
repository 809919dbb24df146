"""Takes an agent that isn't there out of what is expected: removed for good, or gone until it is heard of again.

Its queue goes first, under the agent's own lock: who is connected is never taken out, whatever the heartbeats say.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from manager.catchup import CatchUp
from manager.ledger import agents
from manager.ledger.agents import Agent
from manager.ledger.answers import Closed, Lapsed
from manager.roster import Roster
from shared.errors import AgentLiving, LockHeld
from shared.store import Store

log = structlog.get_logger()


class Removal:
    """`drop_queue` deletes an agent's queue. Raises LockHeld while that agent is connected, BrokerError."""

    def __init__(
        self, store: Store, roster: Roster, catch_up: CatchUp, drop_queue: Callable[[str], Awaitable[None]]
    ) -> None:
        self._store, self._roster, self._catch_up, self._drop_queue = store, roster, catch_up, drop_queue

    async def remove(self, agent_id: str) -> Lapsed:
        """Forgets a silent agent; what was open there. When it comes back it is new, and is sent what is in force.

        Raises UnknownAgent, AgentLiving, BrokerError, StoreError. After any of them it can be asked again.
        """
        agent = await self._find(agent_id)
        await self._drop(agent_id, agent)
        withdrawn = await self._forget(agent_id)
        log.info("an agent was removed", action="agent_removed", agent_id=agent_id, withdrawn=withdrawn.count)
        return withdrawn

    async def leave(self, agent: Agent) -> Lapsed:
        """Expects nothing more of a silent agent; what was open there. It stays in the roster, and is new once back.

        Raises AgentLiving, BrokerError, and StoreError: then `finish` does the rest.
        """
        await self._drop(agent.id, agent)
        gone = self._roster.leave(agent)
        self._catch_up.forget(agent.id)
        await self._store.run(lambda connection: agents.leave(connection, gone))
        self._roster.written([gone])
        withdrawn = await self._withdraw_gone(agent.id)
        log.warning(
            "an agent is gone; it is new when it is heard of again",
            action="agent_gone",
            agent_id=agent.id,
            seen_at=agent.seen_at,
            withdrawn=withdrawn.count,
        )
        return withdrawn

    async def finish(self) -> Lapsed:
        """Withdraws what a crash or a full disk has left open at agents that are gone. Raises StoreError."""
        await self._roster.write_behind()
        count, closed = 0, list[Closed]()
        for agent_id in await self._store.read(agents.unfinished):
            if not self._roster.is_gone(agent_id):  # it came back just now, and what is unsent to it was put there then
                continue
            await self._store.run(partial(agents.unsend, agent_id=agent_id))
            some = await self._withdraw_gone(agent_id)
            count, closed = count + some.count, [*closed, *some.closed]
        return Lapsed(count=count, closed=tuple(closed))

    async def _drop(self, agent_id: str, agent: Agent | None) -> None:
        """Deletes its queue. Raises AgentLiving when it is there after all, BrokerError."""
        try:
            await self._drop_queue(agent_id)
        except LockHeld as held:
            raise AgentLiving(f"{agent_id} is connected to the broker; stop it first, then remove it") from held
        if self._roster.get(agent_id) is not agent:
            raise AgentLiving(f"{agent_id} was heard of just now; stop it, and remove it once it is silent")

    async def _find(self, agent_id: str) -> Agent | None:
        """Who is to be removed; None: the roster has forgotten it, and the ledger has not."""
        agent = self._roster.get(agent_id)
        if agent is None and not await self._store.read(lambda connection: agents.is_left(connection, agent_id)):
            return self._roster.find(agent_id)
        if agent is not None and self._roster.life(agent) == "living":
            raise AgentLiving(
                f"{agent_id} is living; stop it first (`systemctl disable --now thwart-agent` there), "
                "and remove it once it is silent, half a minute later"
            )
        return agent

    async def _forget(self, agent_id: str) -> Lapsed:
        """The roster first: no order expects it from then on, and a heartbeat makes it somebody new.

        What that one is to hold is worked out in a transaction behind those here, so none may follow once it is back.
        """
        self._roster.forget(agent_id)
        self._catch_up.forget(agent_id)
        await self._store.run(lambda connection: agents.remove(connection, agent_id))
        return await self._withdraw(agent_id, "its agent was removed", lambda: self._roster.get(agent_id) is None)

    async def _withdraw_gone(self, agent_id: str) -> Lapsed:
        return await self._withdraw(agent_id, "its agent is gone", lambda: self._roster.is_gone(agent_id))

    async def _withdraw(self, agent_id: str, why: str, away: Callable[[], bool]) -> Lapsed:
        count, closed = 0, list[Closed]()
        while away():  # some at a time: others wait for the writer
            some = await self._store.run(lambda connection: agents.withdraw(connection, agent_id, why))
            count, closed = count + some.count, [*closed, *some.closed]
            if some.count < agents.SOME:
                break
        return Lapsed(count=count, closed=tuple(closed))
