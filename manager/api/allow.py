"""The routes of the allowlist: what is on it, putting on and taking off, and why an address is protected."""

from collections.abc import Sequence

from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.allow import (
    AllowChanged,
    AllowChecked,
    AllowListing,
    AllowQuestion,
    AllowRemoval,
    AtAgent,
    NewAllow,
)
from manager.api.route import Answer, Route
from manager.chronicle import Chronicle
from manager.dispatch import Placed
from manager.ledger.views import AllowEntry
from manager.policy import AllowPolicy, AllowRequest, Changed
from manager.roster import Roster
from shared.errors import InvalidTarget
from shared.targets import Allowlist, Network, normalise_address, overlap, parse_network, text_of


class AllowRoutes:
    """Handlers of requests; each gets the name that the request's token stands for."""

    def __init__(self, policy: AllowPolicy, roster: Roster, chronicle: Chronicle) -> None:
        self._policy, self._roster, self._chronicle = policy, roster, chronicle

    def routes(self) -> Sequence[Route]:
        return (
            Route("GET", "/v1/allow", self.list),
            Route("POST", "/v1/allow", self.add),
            Route("DELETE", "/v1/allow", self.remove),
            Route("GET", "/v1/allow/check", self.check),
        )

    async def list(self, _: Request, __: str) -> Answer:
        listing = await self._policy.listing()
        here = [each for each in self._roster.agents() if self._roster.life(each) != "gone"]
        behind = tuple(each.id for each in here if each.heartbeat.policy != listing.version)
        return 200, AllowListing(version=listing.version, entries=listing.entries, behind=behind)

    async def add(self, request: Request, issuer: str) -> Answer:
        wish = await requests.read(request, NewAllow)
        changed = await self._policy.add(
            AllowRequest(
                request_id=wish.request_id, network=wish.network, reason=wish.reason, issuer=issuer, keep=wish.keep
            )
        )
        self._chronicle.placed(Placed(orders=changed.given, repeated=False))
        return 200, _changed(changed, ())

    async def remove(self, request: Request, _: str) -> Answer:
        changed = await self._policy.remove(requests.query(request, AllowRemoval).network)
        left = await self._overlapping(parse_network(changed.network))
        return 200, _changed(changed, tuple(f"{each.network} is still on the list" for each in left))

    async def check(self, request: Request, _: str) -> Answer:
        asked = requests.query(request, AllowQuestion)
        network = parse_network(asked.address.strip())
        entries = await self._overlapping(network)
        never, agent = _never(network), self._at(asked.agent, network) if asked.agent else None
        return 200, AllowChecked(
            target=text_of(network),
            protected=bool(entries or never or (agent and agent.own)),
            entries=entries,
            never=never,
            agent=agent,
        )

    async def _overlapping(self, network: Network) -> tuple[AllowEntry, ...]:
        listing = await self._policy.listing()
        return tuple(each for each in listing.entries if overlap(network, parse_network(each.network)))

    def _at(self, agent_id: str, network: Network) -> AtAgent:
        agent = self._roster.find(agent_id)
        own = Allowlist.of(agent.heartbeat.addresses, "its own address").overlapping(network)
        return AtAgent(
            id=agent.id,
            state=self._roster.life(agent),
            own=tuple(text_of(each) for each, _ in own),
            version=agent.heartbeat.policy,
            current=agent.heartbeat.policy == self._policy.version,
        )


def _changed(changed: Changed, notes: tuple[str, ...]) -> AllowChanged:
    return AllowChanged(version=changed.version, network=changed.network, lifted=changed.lifted, notes=notes)


def _never(network: Network) -> str:
    """Why nothing could be meant by a block of it, whatever the list says; empty when something could."""
    try:
        normalise_address(text_of(network))
    except InvalidTarget as error:
        return str(error)
    return ""
