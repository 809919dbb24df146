"""Correlation and responses over whole logs, offline: no broker, no agent, and no clock but the lines' own time.

What would follow is worked out as if every order were applied at once and ended when its time was up.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from msgspec import Struct

from manager.correlation import Correlator, Firing, LogLine, alert
from manager.ledger.agents import Agent
from manager.ledger.offenders import Offender
from manager.ledger.schema import FOREVER
from manager.responses.verdict import Judge, Offence, Refusal, Sighting
from manager.roster import Members
from shared.messages import Alert, Heartbeat, Holds, Order

MANAGER = "manager"  # the host that is there for `server` orders, though no log names it


class Finding(Struct, frozen=True, kw_only=True):
    """A rule that fired, and the orders that would follow."""

    firing: Firing
    orders: tuple[Order, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def alert(self) -> Alert:
        """The alert that would go out."""
        return alert(self.firing)

    @property
    def source(self) -> str:
        """The address that it is about; empty when the line names none."""
        return self.firing.fields.get("srcip", "")


class Tally:
    """What a run came to: how many lines, alerts by rule and by source, orders."""

    def __init__(self) -> None:
        self.lines = self.orders = 0
        self.rules: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()

    def count(self, finding: Finding) -> None:
        """Add one finding."""
        self.rules[finding.firing.rule.id] += 1
        if source := finding.source:
            self.sources[source] += 1
        self.orders += len(finding.orders)


class Run:
    """One pass over lines. `judge` is that of the responses; without it no orders follow."""

    def __init__(self, correlator: Correlator, judge: Judge | None = None, agents: Iterable[str] = ()) -> None:
        self._correlator, self._judge = correlator, judge
        self._standing, self._hosts = OfflineStanding(), Hosts(agents)
        self._ends: list[tuple[float, str]] = []  # a heap: when blocks end, and whose
        self.tally = Tally()

    def over(self, lines: Iterable[LogLine]) -> Iterator[Finding]:
        """What the lines make fire, in their order; `tally` grows with it."""
        feed, tally, judge = self._correlator.feed, self.tally, self._judge
        for line in lines:
            tally.lines += 1
            if self._ends and self._ends[0][0] <= line.at:
                self._end_blocks(line.at)
            firing = feed(line)
            if firing is not None:
                finding = self._respond(firing, judge) if judge else Finding(firing=firing)
                tally.count(finding)
                yield finding

    def _respond(self, firing: Firing, judge: Judge) -> Finding:
        sighting = Sighting(alert=alert(firing), at=firing.at)
        members = self._hosts.with_one(sighting.alert.agent.id)
        standing = self._standing
        standing.now = firing.at
        verdict = judge(sighting, members, standing, firing.at)
        for offence in verdict.offences:
            standing.offend(offence)
        for order in verdict.orders:
            standing.hold(order, members)
            if order.expires_at is not None and not order.dry_run:
                heappush(self._ends, (order.expires_at, order.target))
        return Finding(firing=firing, orders=verdict.orders, refusals=verdict.refusals)

    def _end_blocks(self, now: float) -> None:
        """Lines from before a block's end are no part of the next offence."""
        while self._ends and self._ends[0][0] <= now:
            end, target = heappop(self._ends)
            self._correlator.forget(target, before=end)


class OfflineStanding:
    """How things stand with offenders at `now`, in memory: what the ledger tells a manager's responses."""

    def __init__(self) -> None:
        self.now = 0.0
        self._offenders: dict[tuple[str, str], Offender] = {}
        self._held: dict[tuple[str, str], dict[str, float]] = {}  # by response and target: until when, by agent

    def offender(self, response: str, target: str) -> Offender | None:
        """The offence that `target` is at with `response`, and when its last block ends; None for a newcomer."""
        return self._offenders.get((response, target))

    def holding(self, response: str, target: str) -> frozenset[str]:
        """The agents that hold `target` by an order of `response`."""
        held = self._held.get((response, target), {})
        return frozenset(agent for agent, until in held.items() if until > self.now)

    def offend(self, offence: Offence) -> None:
        """Remembers an offence."""
        offender = Offender(offence=offence.offence, ends_at=offence.ends_at)
        self._offenders[offence.response, offence.target] = offender

    def hold(self, order: Order, members: Members) -> None:
        """Takes an order as applied by everybody that it is for."""
        if order.dry_run:
            return
        audience = members.audience(order.location, order.agents)
        held = self._held.setdefault((order.response, order.target), {})
        until = FOREVER if order.expires_at is None else order.expires_at
        held.update(dict.fromkeys((*audience.known, *audience.unknown), until))


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
