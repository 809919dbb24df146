"""Decision -> order -> ledger -> outbox, each batch in one transaction: what was not written down is never sent.

`issued_at`, `deadline` and `expires_at` are stamped here. A repeat of an alert or a request uses what is stored.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from manager.by_hand import OrderRequest, check_known, check_protected, order_of, place
from manager.ledger import alerts, offenders, on_hold, orders, pause
from manager.ledger.breakers import Breakers
from manager.ledger.offenders import Offender
from manager.ledger.positions import Position, advance
from manager.ledger.standing import LedgerStanding
from manager.lifting import Lifting, lift
from manager.responses.breaker import Gate
from manager.responses.verdict import Judge, Offence, Refusal, Sighting, Verdict
from manager.roster import Members, Roster
from shared.clock import Clock
from shared.messages import Operation, Order
from shared.store import Connection, Store
from shared.targets import Allowlist, normalise_target


class UnblockRequest(Struct, frozen=True, kw_only=True):
    """A person's wish to end whatever is in force on a target, wherever it is."""

    request_id: str
    target: str
    reason: str = ""
    issuer: str = ""


class Placed(Struct, frozen=True, kw_only=True):
    """What became of a person's request."""

    orders: tuple[Order, ...]  # none: there was nothing to lift
    repeated: bool  # the request was known already, and these are its orders as stored
    on_hold: bool = False  # they are kept back, because the manager is paused


class Taken(Struct, frozen=True, kw_only=True):
    """What became of a sighting."""

    sighting: Sighting
    orders: tuple[Order, ...]  # as stored
    held: tuple[Order, ...] = ()  # written down, and on hold
    tripped: tuple[str, ...] = ()  # responses whose breaker this was too much for
    refusals: tuple[Refusal, ...] = ()
    late: bool = False  # too old when it came: written down, and nothing ordered
    repeated: bool = False  # it was known already
    unknown: tuple[str, ...] = ()  # agents that the orders name and nobody goes by


class Dispatch:
    """The one way into the ledger for orders of our own. `wake` is called when there is something to send.

    `judge` is pure but for the standing that it is given and the allowlist, and runs inside the transaction. Spans
    are seconds.
    """

    def __init__(
        self,
        store: Store,
        roster: Roster,
        clock: Clock,
        *,
        judge: Judge,
        allowlist: Callable[[], Allowlist],
        answer_within: float,
        max_alert_age: float,
        wake: Callable[[], None],
    ) -> None:
        self._store, self._roster, self._clock = store, roster, clock
        self._judge, self._allowlist, self._wake = judge, allowlist, wake
        self._answer_within, self._max_alert_age = answer_within, max_alert_age

    def follow(self, judge: Judge) -> None:
        """Judges alerts by another configuration from now on."""
        self._judge = judge

    async def take(self, sightings: Sequence[Sighting], positions: Sequence[Position] = ()) -> list[Taken]:
        """Responds to alerts and moves the positions of the lines that they came from, in one transaction.

        The log batch is acked after it. A sighting that was taken before gets its stored orders, and nothing is sent.
        Raises StoreError; then nothing was done.
        """
        members = self._roster.members()

        def work(connection: Connection) -> list[Taken]:
            now = self._clock.wall()
            advance(connection, positions, now)
            turn = _Turn(connection, members, now)
            return [self._respond(turn, each) for each in sightings]

        taken = await self._store.run(work)
        if any(each.orders and not each.repeated for each in taken):
            self._wake()
        return taken

    async def order(self, request: OrderRequest) -> Placed:
        """Orders an action by hand.

        Raises InvalidTarget, ProtectedTarget with the entry that protects it, UnknownAction, UnknownAgent, StoreError.
        """
        members = self._roster.members()
        check_known(request.agents, members)
        return await self._place(
            request.request_id, "add", lambda connection: self._order(connection, request, members)
        )

    async def unblock(self, request: UnblockRequest) -> Placed:
        """Lifts every order on a target that has not ended, of whatever action, also what is still unsent.

        Raises InvalidTarget, StoreError.
        """
        target = normalise_target(request.target)
        members = self._roster.members()
        return await self._place(
            request.request_id, "delete", lambda connection: self._unblock(connection, request, target, members)
        )

    async def lifts_of(self, request_id: str) -> list[Order]:
        """The lifts that a request was given before. Raises StoreError."""
        return await self._store.read(lambda connection: orders.of_origin(connection, request_id, "delete"))

    def _respond(self, turn: "_Turn", sighting: Sighting) -> Taken:
        connection, members, now = turn.connection, turn.members, turn.now
        alert = sighting.alert
        late = now - sighting.at > self._max_alert_age
        if not alerts.put(connection, alert, sighting.at, late, now):
            return Taken(sighting=sighting, orders=tuple(orders.of_origin(connection, alert.id, "add")), repeated=True)
        if late:
            return Taken(sighting=sighting, orders=(), late=True)
        verdict = self._judge(sighting, members, LedgerStanding(connection, now, self._answer_within), now)
        if not verdict.orders and not verdict.refusals:  # most alerts
            return Taken(sighting=sighting, orders=())
        outcomes = [(order, turn.decide(order, verdict, alert.id)) for order in verdict.orders]
        for each in verdict.refusals:
            alerts.refuse(connection, alert.id, each.response, each.target, each.reason, each.detail, now)
        sent = tuple(order for order, outcome in outcomes if outcome == "sent")
        return Taken(
            sighting=sighting,
            orders=sent,
            held=tuple(order for order, outcome in outcomes if outcome == "on-hold"),
            tripped=turn.just_tripped(),
            refusals=verdict.refusals,
            unknown=tuple(sorted({name for order in sent for name in order.agents if name not in members})),
        )

    async def _place(self, request_id: str, operation: Operation, work: Callable[[Connection], list[Order]]) -> Placed:
        def once(connection: Connection) -> Placed:
            stored = orders.of_origin(connection, request_id, operation)
            found = tuple(stored or work(connection))
            waits = any(on_hold.holds(connection, order.id) for order in found)
            return Placed(orders=found, repeated=bool(stored), on_hold=waits)

        placed = await self._store.run(once)
        self._wake()
        return placed

    def _order(self, connection: Connection, request: OrderRequest, members: Members) -> list[Order]:
        order = order_of(request, self._clock.wall())
        check_protected(order, self._allowlist())  # in here, so that no entry can come between this and the order
        place(connection, order, request.request_id, members)
        return [order]

    def _unblock(self, connection: Connection, request: UnblockRequest, target: str, members: Members) -> list[Order]:
        now = self._clock.wall()
        word = Lifting(request_id=request.request_id, reason=request.reason, issuer=request.issuer)
        offenders.end(connection, target, now)
        return lift(connection, orders.open_on(connection, target, now), word, members, now)


class _Turn:
    """What is decided in one transaction of alerts."""

    def __init__(self, connection: Connection, members: Members, now: float) -> None:
        self.connection, self.members, self.now = connection, members, now
        self._paused = pause.find(connection) is not None
        self._waiting = on_hold.is_any(connection)
        self._breakers = Breakers(connection, now)

    def decide(self, order: Order, verdict: Verdict, origin: str) -> Literal["sent", "on-hold", "stood for"]:
        """Writes `order` down, to be sent or on hold; not at all when one that is on hold stands for it.

        One that a breaker keeps does so until it is decided about, any other for what would be on hold as well.
        """
        offences = verdict.offences_of(order)
        counts = [(each.response, each.offence) for each in offences]
        stands = on_hold.alike(self.connection, order) if self._waiting else None
        if stands is not None and stands.reason == "breaker" and stands.order.response == order.response:
            on_hold.join(self.connection, order, stands.order, counts)
            return "stood for"
        reason = self._reason(order, verdict.gate(order))
        if reason is None:
            self._send(order, offences, origin)
            return "sent"
        if stands is not None:
            on_hold.join(self.connection, order, stands.order, counts)
            return "stood for"
        on_hold.keep(self.connection, order, origin, reason, counts, self.now)
        self._waiting = True
        return "on-hold"

    def _send(self, order: Order, offences: Sequence[Offence], origin: str) -> None:
        orders.put(self.connection, order, origin, self.members.audience(order.location, order.agents))
        for each in offences:
            offender = Offender(offence=each.offence, ends_at=each.ends_at)
            offenders.put(self.connection, each.response, each.target, offender)

    def just_tripped(self) -> tuple[str, ...]:
        """The responses whose breaker has tripped since this was asked last."""
        return self._breakers.just_tripped()

    def _reason(self, order: Order, gate: Gate) -> on_hold.Reason | None:
        """Why `order` must wait, or None."""
        if self._paused or gate.approval:
            return "paused" if self._paused else "approval"
        if gate.counts and not self._breakers.lets(order.response, gate.counts, gate.limit):
            return "breaker"
        return None
