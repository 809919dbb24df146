"""Which agents there are, and in what state: kept in memory, written behind.

A heartbeat costs no commit unless it says something that others depend on: a new agent, another journal, other roles.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from msgspec import Struct
from msgspec.structs import replace

from manager.ledger import agents
from manager.ledger.agents import Agent
from manager.ledger.orders import Audience
from manager.ledger.views import Life
from shared.actions import LASTING, SCRIPT, kind_of
from shared.clock import Clock
from shared.errors import UnknownAgent
from shared.messages import Heartbeat
from shared.store import Store

SILENT_AFTER = 30.0  # s without a heartbeat
SHOWN = 10  # names in a sentence


class Heard(Struct, frozen=True, kw_only=True):
    """A heartbeat, and what it changed."""

    agent: Agent
    joined: bool  # never heard of before, or gone until now
    roles_changed: bool
    journal_changed: bool
    queue_made: bool  # it had to make its queue anew: what was in the old one is lost

    @property
    def matters(self) -> bool:
        """True when the ledger must know at once."""
        return self.joined or self.roles_changed or self.journal_changed


class Roster:
    """Every agent that was ever heard of. Belongs to the loop; `Members` is what other threads may have."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._agents: dict[str, Agent] = {agent.id: agent for agent in store.run_now(agents.load)}
        self._heard_at: dict[str, float] = {}  # the boot clock, which nobody steps; of this run alone
        self._began_at = clock.boot()
        self._unwritten: set[str] = set()

    def heard(self, heartbeats: Iterable[Heartbeat]) -> list[Heard]:
        """Takes heartbeats in, in memory alone; what each changed, in the order given."""
        now, boot = self._clock.wall(), self._clock.boot()
        return [self._take(heartbeat, now, boot) for heartbeat in heartbeats]

    def agents(self) -> list[Agent]:
        """All agents, by id."""
        return sorted(self._agents.values(), key=lambda agent: agent.id)

    def get(self, agent_id: str) -> Agent | None:
        """One agent, or None for a name that nobody goes by."""
        return self._agents.get(agent_id)

    def find(self, agent_id: str) -> Agent:
        """One agent. Raises UnknownAgent, which says whom there is."""
        agent = self._agents.get(agent_id)
        if agent is None:
            raise unknown([agent_id], self._agents)
        return agent

    def life(self, agent: Agent) -> Life:
        """`living` when it was heard of within 30 s; `gone` once nothing is expected of it any more."""
        if agent.gone_at is not None:
            return "gone"
        since = abs(self._clock.wall() - agent.seen_at)  # a clock that was put back says nothing about the agent
        return "living" if since < SILENT_AFTER else "silent"

    def living(self) -> list[str]:
        """The ids of the agents that are living."""
        return [agent.id for agent in self._agents.values() if self.life(agent) == "living"]

    def greatest_skew(self) -> float:
        """By how many seconds the clock of a living agent differs from the manager's, at most."""
        return max((abs(agent.skew) for agent in self._agents.values() if self.life(agent) == "living"), default=0.0)

    def members(self) -> "Members":
        """Who is here now, for a transaction that is started now. Who is gone isn't."""
        here = [agent for agent in self._agents.values() if agent.gone_at is None]
        return Members(here, gone=self._agents.keys() - {agent.id for agent in here})

    async def write_behind(self) -> None:
        """Writes down what only memory knows. Every few seconds, and at the end. Raises StoreError."""
        some = [self._agents[agent_id] for agent_id in self._unwritten]
        if some:
            await self._store.run(lambda connection: agents.put(connection, some))
            self.written(some)

    def written(self, some: Sequence[Agent]) -> None:
        """Says that the ledger has these."""
        self._unwritten -= {agent.id for agent in some if self._agents.get(agent.id) is agent}

    def forget(self, agent_id: str) -> None:
        """Nobody goes by that name any more, until a heartbeat comes: then it is somebody new."""
        self._agents.pop(agent_id, None)
        self._heard_at.pop(agent_id, None)
        self._unwritten.discard(agent_id)

    def is_gone(self, agent_id: str) -> bool:
        """True for one that is in the roster, and of whom nothing is expected."""
        agent = self._agents.get(agent_id)
        return agent is not None and agent.gone_at is not None

    def unheard_since(self, instant: float) -> list[Agent]:
        """Who is not gone, and was last heard of then, or before; by the boot clock. Before this run nobody was."""
        heard = self._heard_at
        return [
            each
            for each in self._agents.values()
            if each.gone_at is None and heard.get(each.id, self._began_at) <= instant
        ]

    def gone_since(self, instant: float) -> list[Agent]:
        """Who was gone before then, and is still."""
        return [each for each in self._agents.values() if each.gone_at is not None and each.gone_at < instant]

    def leave(self, agent: Agent) -> Agent:
        """No order expects this one from now on, until a heartbeat comes. What the ledger is to have of it."""
        gone = replace(agent, gone_at=self._clock.wall())
        self._agents[gone.id] = gone
        self._unwritten.add(gone.id)
        return gone

    def _take(self, heartbeat: Heartbeat, now: float, boot: float) -> Heard:
        known = self._agents.get(heartbeat.agent_id)
        agent = Agent(heartbeat=heartbeat, first_seen_at=known.first_seen_at if known else now, seen_at=now)
        self._agents[agent.id], self._heard_at[agent.id] = agent, boot
        self._unwritten.add(agent.id)
        return Heard(
            agent=agent,
            joined=known is None or known.gone_at is not None,
            roles_changed=known is not None and known.heartbeat.roles != heartbeat.roles,
            journal_changed=known is not None and known.heartbeat.journal != heartbeat.journal,
            queue_made=heartbeat.queue == "new",
        )


def unknown(names: Sequence[str], known: Iterable[str]) -> UnknownAgent:
    """That nobody goes by `names`, and whom was probably meant, or else who is there."""
    there = sorted(known)
    near = sorted({each for name in names for each in get_close_matches(name, there)})
    if len(there) <= SHOWN:
        advice = f"known agents: {', '.join(there) or 'none has been heard of yet'}"
    else:
        advice = f"is {' or '.join(near)} meant?" if near else "`thwart agents` lists those that are"
    return UnknownAgent(f"no agent is called {', '.join(names)}; {advice}")


class Members:
    """Who was in the roster at one moment, and not gone: whom an order is for. Never changes."""

    def __init__(self, some: Iterable[Agent], *, gone: Iterable[str] = ()) -> None:
        self._said = {agent.id: agent.heartbeat for agent in some}
        self._gone = frozenset(gone)

    def __contains__(self, agent_id: object) -> bool:
        return agent_id in self._said

    def ids(self) -> tuple[str, ...]:
        """All of them, in order."""
        return tuple(sorted(self._said))

    def gone(self, named: Iterable[str]) -> tuple[str, ...]:
        """Those of `named` that are gone."""
        return tuple(agent_id for agent_id in named if agent_id in self._gone)

    def servers(self) -> tuple[str, ...]:
        """Those with the server role, in order."""
        return tuple(agent_id for agent_id in self.ids() if "server" in self._said[agent_id].roles)

    def hold(self, action: str, agents: Iterable[str]) -> bool:
        """Whether what `action` does on `agents` is held until an end: what is built in says so, and one of them that
        has it from an installed package. A script is held when its order says so.
        """
        if kind_of(action) != "script":
            return action in LASTING
        said = (self._said[agent].actions for agent in agents if agent in self._said)
        return any(each.get(action, SCRIPT) != SCRIPT for each in said)

    def audience(self, location: str, named: Sequence[str]) -> Audience:
        """Whom an order for `location` and the agents `named` is for."""
        match location:
            case "all":
                return Audience(known=self.ids())
            case "server":
                return Audience(known=self.servers())
            case _:
                known = tuple(agent for agent in named if agent in self)
                return Audience(known=known, unknown=tuple(agent for agent in named if agent not in self))
