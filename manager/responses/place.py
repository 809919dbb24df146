"""Where an order goes: the four locations, and what is left of one when some agents hold the effect already."""

import re
from collections.abc import Collection

from msgspec import Struct

from manager.responses.response import Response
from manager.roster import Members
from shared.messages import Alert, Location
from shared.names import agent_id

_NO_AGENT = frozenset({"", "000"})  # Wazuh's 000 is its manager
_AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)


class Place(Struct, frozen=True, kw_only=True):
    """A location, and the agents that `local` and `agent` name."""

    location: Location
    agents: tuple[str, ...] = ()

    def everyone(self, members: Members) -> tuple[str, ...]:
        """All agents that are meant, as far as they are known."""
        match self.location:
            case "all":
                return members.ids()
            case "server":
                return members.servers()
            case _:
                return self.agents

    def without(self, holding: Collection[str], members: Members) -> "Place | None":
        """What is left when those of `holding` need nothing; None for nobody.

        While nobody holds it, the place stays as it is, so that `all` reaches those who join later too.
        """
        everyone = self.everyone(members)
        lacking = tuple(agent for agent in everyone if agent not in holding)
        if not lacking:
            return None
        return self if lacking == everyone else Place(location="agent", agents=lacking)


def place(response: Response, alert: Alert, members: Members) -> Place | None:
    """Where `response` wants its order; None when that is nowhere: a name that can't be an agent's, all excluded.

    What is not for all of `all` goes out under the names of the others.
    """
    match response.location:
        case "local":
            return _local(agent_id(alert.agent.id))
        case "agent":
            return Place(location="agent", agents=tuple(sorted(response.agents)))
        case "all" if response.exclude:
            others = tuple(agent for agent in members.ids() if agent not in response.exclude)
            return Place(location="agent", agents=others) if others else None
        case _:
            return Place(location=response.location)


def _local(agent: str) -> Place | None:
    if agent in _NO_AGENT:
        return Place(location="server")
    return Place(location="local", agents=(agent,)) if _AGENT.fullmatch(agent) else None
