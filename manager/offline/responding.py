"""What responses make of what a run finds, as if every order were applied at once and ended when its time was up.

Loaded only for a run that has responses: it takes as long as a hundred thousand lines.
"""

from collections.abc import Collection, Iterable, Iterator
from heapq import heappop, heappush

from manager.correlation import Firing, alert
from manager.ledger.agents import Agent
from manager.ledger.offenders import Offender
from manager.ledger.schema import FOREVER
from manager.offline.finding import Finding
from manager.responses.verdict import Judge, Sighting, Verdict
from manager.roster import Members
from shared.messages import Heartbeat, Holds, Order

MANAGER = "manager"  # the host that is there for `server` orders, though no log names it


class Responder:
    """Responds by the lines' own time. `answered` are the rules that `judge` has a response for."""

    def __init__(self, judge: Judge, answered: Collection[str], agents: Iterable[str] = ()) -> None:
        self._judge, self._answered = judge, answered
        self._standing, self._hosts = OfflineStanding(), Hosts(agents)
        self.ended = self._standing.ended

    def respond(self, firing: Firing) -> Finding:
        """A finding with the orders that follow."""
        if firing.rule.id not in self._answered:
            return Finding(firing=firing)
        sighting = Sighting(alert=alert(firing), at=firing.at)
        members = self._hosts.with_one(sighting.alert.agent.id)
        verdict = self._standing.after(self._judge, sighting, members)
        return Finding(firing=firing, orders=verdict.orders, refusals=verdict.refusals)


class OfflineStanding:
    """How things stand with offenders, in memory: what the ledger tells a manager's responses."""

    def __init__(self) -> None:
        self._now = 0.0  # of the last alert
        self._offenders: dict[tuple[str, str], Offender] = {}
        self._held: dict[tuple[str, str], dict[str, float]] = {}  # by response and target: until when, by agent
        self._ends: list[tuple[float, str]] = []  # a heap: when blocks end, and whose

    def offender(self, response: str, target: str) -> Offender | None:
        """The offence that `target` is at with `response`, and when its last block ends; None for a newcomer."""
        return self._offenders.get((response, target))

    def holding(self, response: str, target: str) -> frozenset[str]:
        """The agents that hold `target` by an order of `response`."""
        held = self._held.get((response, target), {})
        return frozenset(agent for agent, until in held.items() if until > self._now)

    def after(self, judge: Judge, sighting: Sighting, members: Members) -> Verdict:
        """The verdict on an alert: its offences are remembered, its orders applied by everybody that they are for."""
        self._now = sighting.at
        verdict = judge(sighting, members, self, sighting.at)
        for offence in verdict.offences:
            offender = Offender(offence=offence.offence, ends_at=offence.ends_at)
            self._offenders[offence.response, offence.target] = offender
        for order in verdict.orders:
            self._hold(order, members)
        return verdict

    def ended(self, now: float) -> Iterator[tuple[str, float]]:
        """The targets of the blocks that have ended by now, and when: lines from before are no part of an offence."""
        while self._ends and self._ends[0][0] <= now:
            end, target = heappop(self._ends)
            yield target, end

    def _hold(self, order: Order, members: Members) -> None:
        if order.dry_run:
            return
        audience = members.audience(order.location, order.agents)
        held = self._held.setdefault((order.response, order.target), {})
        until = FOREVER if order.expires_at is None else order.expires_at
        held.update(dict.fromkeys((*audience.known, *audience.unknown), until))
        if order.expires_at is not None:
            heappush(self._ends, (order.expires_at, order.target))


class Hosts:
    """Who would be in the roster: the hosts that the lines have named so far, and those that are named beforehand."""

    def __init__(self, agents: Iterable[str]) -> None:
        self._agents = {name: _agent(name) for name in (MANAGER, *agents)}
        self._members = Members(self._agents.values())

    def with_one(self, name: str) -> Members:
        """Everybody known, `name` included."""
        if name not in self._agents:
            self._agents[name] = _agent(name)
            self._members = Members(self._agents.values())
        return self._members


def _agent(name: str) -> Agent:
    heartbeat = Heartbeat(
        agent_id=name,
        at=0.0,
        started_at=0.0,
        journal="",
        boot="",
        version="",
        hostname=name,
        holds=Holds(count=0, xor=""),
        roles=("server",) if name == MANAGER else (),
    )
    return Agent(heartbeat=heartbeat, first_seen_at=0.0, seen_at=0.0)
