"""The routes of agents: who is there, and how they are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.agents import AgentFilter, AgentRemoved, Agents, AgentView
from manager.api.route import Answer, Route
from manager.chronicle import Chronicle
from manager.ledger.agents import Agent
from manager.policy import AllowPolicy
from manager.removal import Removal
from manager.roster import Roster
from shared.errors import UnknownAgent


class AgentRoutes:
    """Handlers of requests."""

    def __init__(self, roster: Roster, policy: AllowPolicy, removal: Removal, chronicle: Chronicle) -> None:
        self._roster, self._policy, self._removal, self._chronicle = roster, policy, removal, chronicle

    def routes(self) -> Sequence[Route]:
        return (
            Route("GET", "/v1/agents", self.list),
            Route("GET", "/v1/agents/{agent_id}", self.show),
            Route("DELETE", "/v1/agents/{agent_id}", self.remove),
        )

    async def list(self, request: Request, _: str) -> Answer:
        wanted = requests.query(request, AgentFilter)
        views = (self._view(agent) for agent in self._roster.agents())
        return 200, Agents(agents=tuple(view for view in views if _is_wanted(view, wanted)))

    async def show(self, request: Request, _: str) -> Answer:
        with _missing():
            return 200, self._view(self._roster.find(request.path_params["agent_id"]))

    async def remove(self, request: Request, _: str) -> Answer:
        agent_id = request.path_params["agent_id"]
        with _missing():
            withdrawn = await self._removal.remove(agent_id)
        self._chronicle.lapsed(withdrawn)
        return 200, AgentRemoved(id=agent_id, withdrawn=withdrawn.count)

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
            passed_over=said.passed_over,
            version=said.version,
            started_at=said.started_at,
            policy=said.policy,
            policy_current=said.policy == self._policy.version,
            first_seen_at=agent.first_seen_at,
            seen_at=agent.seen_at,
            skew=agent.skew,
            holds=said.holds.count,
            drift=said.drift,
            unsent=said.unsent,
            trouble=said.trouble,
        )


@contextmanager
def _missing() -> Iterator[None]:
    """Nothing is at the path of an agent that nobody knows."""
    try:
        yield
    except UnknownAgent as error:
        raise HTTPException(404, str(error)) from error


def _is_wanted(view: AgentView, wanted: AgentFilter) -> bool:
    if wanted.state and view.state != wanted.state:
        return False
    name, equals, value = (wanted.label or "").partition("=")
    return not name or (view.labels.get(name) == value if equals else name in view.labels)
