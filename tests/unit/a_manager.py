"""A manager's ledger side on a real SQLite file, with a clock that stands still until a test moves it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manager.actions import Term
from manager.approvals import Approvals
from manager.by_hand import BLOCK, OrderRequest
from manager.catchup import CatchUp
from manager.dispatch import Dispatch, UnblockRequest
from manager.ledger import on_hold, schema
from manager.ledger.ledger import Ledger
from manager.ledger.on_hold import OnHold, Selection
from manager.ledger.views import OrderStory
from manager.panic import Panic
from manager.policy import AllowPolicy
from manager.responses.standing import Standing
from manager.responses.verdict import Judge, Offence, Refusal, Sighting, Verdict
from manager.roster import Members, Roster
from shared import codec
from shared.broker import Publication
from shared.ids import digest
from shared.messages import Acknowledgement, Alert, AlertAgent, AlertRule, Expiry, Heartbeat, Holds, Order, Policy
from shared.store import Store
from shared.targets import Allowlist
from shared.topology import POLICY

START = 1_764_000_000.0
ATTACKER = "203.0.113.9"
MINE = "198.51.100.7"  # on the allowlist


class StoppedClock:
    """Both readings move together, by hand; the wall clock is `step` ahead."""

    def __init__(self) -> None:
        self.passed = self.step = 0.0

    def wall(self) -> float:
        return START + self.passed + self.step

    def boot(self) -> float:
        return 1_000.0 + self.passed


class AManager:
    """The parts, wired as the daemon wires them, and a broker that confirms when it is told to."""

    def __init__(self, path: Path, judge: Judge) -> None:
        self.clock = StoppedClock()
        self.store = Store(path, schema.SCHEMA)
        self.roster = Roster(self.store, self.clock)
        self.woken = 0
        self.ledger = Ledger(
            self.store,
            self.clock,
            self.roster.living,
            answer_within=10.0,
            retention=30 * 86_400.0,
            offence_memory=86_400.0,
        )
        allowlist = Allowlist.of([MINE], "white_list")
        self.policy = AllowPolicy(
            self.store, self.roster, self.clock, listed=allowlist, source="ossec.conf", wake=self._wake
        )
        self.dispatch = Dispatch(
            self.store,
            self.roster,
            self.clock,
            judge=judge,
            allowlist=self.policy.allowlist,
            answer_within=10.0,
            max_alert_age=600.0,
            wake=self._wake,
        )
        self.catch_up = CatchUp(self.store, self.roster, self.clock, self.policy, answer_within=10.0, wake=self._wake)
        self.approvals = Approvals(
            self.store, self.roster, self.clock, allowlist=self.policy.allowlist, hold_for=3_600.0, wake=self._wake
        )
        self.forgotten = 0  # how often every window was dropped
        self.panic = Panic(self.store, self.roster, self.clock, wake=self._wake, forget=self._forget)

    def _wake(self) -> None:
        self.woken += 1

    def _forget(self) -> None:
        self.forgotten += 1

    async def hear(self, *agents: str, **said: object) -> None:
        """Heartbeats of agents that have the allowlist, unless they say otherwise. What these wake isn't counted."""
        said = {"policy": self.policy.version, **said}
        await self.catch_up.heard([heartbeat(agent, self.clock.wall(), **said) for agent in agents])
        self.woken = 0

    def outbox(self) -> list[Publication]:
        """The orders that are unsent, oldest first."""
        return [each for each in self.unsent() if each.kind != POLICY]

    def policies(self) -> list[tuple[str, Policy]]:
        """The allowlists that are unsent: key and message."""
        return [(each.routing_key, codec.decode(each.body, Policy)) for each in self.unsent() if each.kind == POLICY]

    def unsent(self) -> list[Publication]:
        """Everything that is unsent, oldest first."""
        rows = self.store.run_now(lambda c: c.execute("SELECT * FROM outbox ORDER BY seq").fetchall())
        return [
            Publication(
                exchange=row["exchange"],
                routing_key=row["routing_key"],
                kind=row["kind"],
                message_id=row["message_id"],
                body=row["body"],
                expires_at=row["expires_at"],
            )
            for row in rows
        ]

    def confirm(self) -> list[tuple[str, Order]]:
        """The broker takes all that is unsent; keys and orders."""
        rows = self.outbox()

        def forget(connection) -> None:
            connection.execute("DELETE FROM outbox")
            self.ledger.confirmed(connection, rows)

        self.store.run_now(forget)
        return [(row.routing_key, codec.decode(row.body, Order)) for row in rows]

    def held(self) -> list[OnHold]:
        """What is on hold, oldest first."""
        now = self.clock.wall()
        return self.store.run_now(lambda connection: on_hold.find(connection, Selection(), now, 1_000))

    async def block(self, request_id: str = "r1", **wish: object) -> Order:
        fields = {"address": ATTACKER, "timeout": 600.0, **wish}
        target, term = fields.pop("address"), Term(timeout=fields.pop("timeout"))
        return await self.order(request_id, target=target, term=term, **fields)

    async def order(self, request_id: str = "r1", **wish: object) -> Order:
        fields = {"action": BLOCK, "location": "all", "issuer": "ann", **wish}
        (order,) = (await self.dispatch.order(OrderRequest(request_id=request_id, **fields))).orders
        return order

    async def unblock(self, request_id: str = "u1", address: str = ATTACKER) -> tuple[Order, ...]:
        return (await self.dispatch.unblock(UnblockRequest(request_id=request_id, target=address))).orders

    async def answer(self, order: Order, agent: str, status: str = "applied", **said: object) -> None:
        recorded = await self.ledger.record([acknowledgement(order.id, agent, status, self.clock.wall(), **said)])
        self.catch_up.recorded(recorded)

    async def story(self, order: Order) -> OrderStory:
        story = await self.ledger.order(order.id)
        assert story is not None
        return story

    async def states(self, order: Order) -> dict[str, str]:
        return {each.agent_id: each.state for each in (await self.story(order)).view.agents}


def blocks_everywhere(sighting: Sighting, members: Members, standing: Standing, now: float) -> Verdict:
    """One block on `all` for each new offence, a minute for each that there was; nothing while it stands."""
    target, rule = sighting.alert.data["srcip"], sighting.alert.rule.id
    if target == MINE:
        return Verdict(refusals=(Refusal(response="r", target=target, reason="protected", detail="on the list"),))
    known = standing.offender("r", target)
    if known and sighting.at < known.ends_at and standing.holding("r", target) >= set(members.ids()):
        return Verdict()
    offence = known.offence + (sighting.at >= known.ends_at) if known else 1
    order = Order(
        id=digest(sighting.alert.id, "r", "add", (), "all", (), target),
        operation="add",
        action="firewall-drop",
        location="all",
        target=target,
        timeout=60.0 * offence,
        issued_at=now,
        deadline=now + 60.0 * offence,
        expires_at=now + 60.0 * offence,
        offence=offence,
        response="r",
        rule_id=rule,
    )
    ends_at = now + 60.0 * offence
    counts = Offence(response="r", target=target, offence=offence, ends_at=ends_at, order_id=order.id)
    return Verdict(orders=(order,), offences=(counts,))


def sighting(alert_id: str, at: float = START, target: str = ATTACKER) -> Sighting:
    alert = Alert(
        id=alert_id,
        timestamp="2025-11-24T16:00:00+00:00",
        rule=AlertRule(id="5712", level=10, description="brute force"),
        agent=AlertAgent(id="web1"),
        data={"srcip": target},
    )
    return Sighting(alert=alert, at=at)


@contextmanager
def a_manager(path: Path, judge: Judge = blocks_everywhere) -> Iterator[AManager]:
    manager = AManager(path, judge)
    try:
        yield manager
    finally:
        manager.store.close()


def heartbeat(agent: str, at: float = START, *, holds: tuple[str, ...] = (), **said: object) -> Heartbeat:
    fields = {
        "started_at": START - 100,
        "journal": f"journal-of-{agent}",
        "boot": "boot-1",
        "version": "0.1.0",
        "hostname": agent,
        **said,
    }
    count = Holds.of(holds)
    return Heartbeat(agent_id=agent, at=at, holds=count, **fields)


def acknowledgement(order_id: str, agent: str, status: str, at: float, **said: object) -> Acknowledgement:
    return Acknowledgement(order_id=order_id, agent_id=agent, status=status, received_at=at, settled_at=at, **said)


def expiry(order_id: str, agent: str, at: float, **said: object) -> Expiry:
    fields = {"action": "firewall-drop", "target": ATTACKER, "cause": "timeout", "outcome": "reverted", **said}
    return Expiry(order_id=order_id, agent_id=agent, at=at, **fields)
