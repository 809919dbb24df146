"""Who was silent for too long is gone: nothing is expected of it, and its queue fills no more.

Silence counts only while this manager can hear: neither its own absence nor the broker's makes anybody gone.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from manager.chronicle import Chronicle
from manager.ledger.agents import Agent
from manager.ledger.answers import Lapsed
from manager.removal import Removal
from manager.roster import Roster
from shared.clock import Clock
from shared.errors import AgentLiving, BrokerError, RequestError, StoreError

AGAIN = 60.0  # s until one that can't be taken out is tried again, as when it is connected and isn't heard of

log = structlog.get_logger()


class Gone:
    """`after` and `retention` are in seconds. `connection` numbers the connection that is heard on; 0: none."""

    def __init__(
        self,
        roster: Roster,
        removal: Removal,
        chronicle: Chronicle,
        clock: Clock,
        *,
        after: float,
        retention: float,
        connection: Callable[[], int],
    ) -> None:
        self._roster, self._removal, self._chronicle, self._clock = roster, removal, chronicle, clock
        self._after, self._retention, self._connection = after, retention, connection
        self._heard_on, self._hearing_since = 0, 0.0  # a connection, and the boot clock when it was first seen
        self._not_before: dict[str, float] = {}
        self._unfinished = True  # an earlier run may have been cut off

    async def sweep(self) -> None:
        """Takes out who is silent for too long, and forgets who has been gone for as long as anything is kept.

        Every second or so. Raises StoreError; the next turn goes on.
        """
        try:
            if self._unfinished:
                self._chronicle.lapsed(await self._removal.finish())
                self._unfinished = False
            for agent in self._too_silent():
                await self._leave(agent)
            for agent in self._long_gone():
                await self._forget(agent)
        except StoreError:
            self._unfinished = True
            raise
        except BrokerError as error:
            log.warning("the queues of agents that are gone can't be deleted yet", action="gone", error=str(error))

    def _too_silent(self) -> list[Agent]:
        """Nobody, until this manager has heard without a break for as long."""
        connection, boot = self._connection(), self._clock.boot()
        if connection != self._heard_on:
            self._heard_on, self._hearing_since = connection, boot
        if not connection or boot - self._hearing_since < self._after:
            return []
        unheard = self._due(self._roster.unheard_since(boot - self._after))
        return [each for each in unheard if self._roster.life(each) == "silent"]

    def _long_gone(self) -> list[Agent]:
        return self._due(self._roster.gone_since(self._clock.wall() - self._retention)) if self._connection() else []

    def _due(self, some: list[Agent]) -> list[Agent]:
        """Without those who could not be taken out a moment ago."""
        boot = self._clock.boot()
        return [each for each in some if boot >= self._not_before.get(each.id, boot)]

    async def _leave(self, agent: Agent) -> None:
        with suppress(AgentLiving):  # its heartbeats don't come, or have come just now
            await self._take_out(agent, self._removal.leave(agent))

    async def _forget(self, agent: Agent) -> None:
        try:
            await self._take_out(agent, self._removal.remove(agent.id))
        except RequestError as error:
            log.info("an agent that was gone is back", action="gone", agent_id=agent.id, why=str(error))

    async def _take_out(self, agent: Agent, work: Awaitable[Lapsed]) -> None:
        """One that can't be holds up no other, and isn't asked about every second."""
        try:
            self._chronicle.lapsed(await work)
        except (RequestError, BrokerError):
            self._not_before[agent.id] = self._clock.boot() + AGAIN
            raise
        self._not_before.pop(agent.id, None)
