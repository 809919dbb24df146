"""The routes of agents: who is there, and how they are."""

from collections.abc import Sequence

from starlette.requests import Request

from manager.api.bodies.agents import Agents, AgentView
from manager.api.route import Answer, Route
from manager.ledger.agents import Agent
from manager.roster import Roster


class AgentRoutes:
    """Handlers of requests."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def routes(self) -> Sequence[Route]:
        return (Route("GET", "/v1/agents", self.list),)

    async def list(self, _: Request, __: str) -> Answer:
        return 200, Agents(agents=tuple(self._view(agent) for agent in self._roster.agents()))

    def _view(self, agent: Agent) -> AgentView:
        said = agent.heartbeat
        return AgentView(
            id=agent.id,
            state=self._roster.life(agent),
            hostname=said.hostname,
            roles=said.roles,
            labels=said.labels,
            addresses=said.addresses,
            actions=said.actions,
            unsupported=said.unsupported,
            version=said.version,
            first_seen_at=agent.first_seen_at,
            seen_at=agent.seen_at,
            skew=agent.skew,
            holds=said.holds.count,
            drift=said.drift,
            unsent=said.unsent,
            trouble=said.trouble,
        )
