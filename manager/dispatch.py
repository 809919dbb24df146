"""Decision -> order -> ledger -> outbox, each batch in one transaction: what was not written down is never sent.

`issued_at`, `deadline` and `expires_at` are stamped here. A repeat of an alert or a request uses what is stored.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from manager.ledger import alerts, offenders, orders
from manager.ledger.offenders import Offender
from manager.ledger.orders import UNTIL_LIFTED
from manager.ledger.positions import Position, advance
from manager.ledger.standing import LedgerStanding
from manager.lifting import Lifting, lift
from manager.responses.verdict import Judge, Refusal, Sighting
from manager.roster import Members, Roster
from shared.clock import Clock
from shared.errors import InvalidTarget, UnknownAgent
from shared.ids import digest
from shared.messages import Location, Operation, Order
from shared.store import Connection, Store
from shared.targets import Allowlist, is_host, normalise_address, parse_network

BLOCK = "firewall-drop"  # what `thwart block` orders


class BlockRequest(Struct, frozen=True, kw_only=True):
    """A person's wish to block an address. The same `request_id` is the same order."""

    request_id: str
    address: str
    location: Location
    agents: tuple[str, ...] = ()  # names, for `agent`
    timeout: float | None = None  # s; None: until lifted
    reason: str = ""
    issuer: str = ""
    dry_run: bool = False


class UnblockRequest(Struct, frozen=True, kw_only=True):
    """A person's wish to end every block of an address, wherever it is."""

    request_id: str
    address: str
    reason: str = ""
    issuer: str = ""


class Placed(Struct, frozen=True, kw_only=True):
    """What became of a person's request."""

    orders: tuple[Order, ...]  # none: there was nothing to lift
    repeated: bool  # the request was known already, and these are its orders as stored


class Taken(Struct, frozen=True, kw_only=True):
    """What became of a sighting."""

    sighting: Sighting
    orders: tuple[Order, ...]  # as stored
    refusals: tuple[Refusal, ...] = ()
    late: bool = False  # too old when it came: written down, and nothing ordered
    repeated: bool = False  # it was known already
    unknown: tuple[str, ...] = ()  # agents that the orders name and nobody goes by


class Dispatch:
    """The one way into the ledger for orders of our own. `wake` is called when there is something to send.

    `judge` is pure but for the standing that it is given, and runs inside the transaction. Spans are seconds.
    """

    def __init__(
        self,
        store: Store,
        roster: Roster,
        clock: Clock,
        *,
        judge: Judge,
        allowlist: Allowlist,
        answer_within: float,
        max_alert_age: float,
        wake: Callable[[], None],
    ) -> None:
        self._store, self._roster, self._clock = store, roster, clock
        self._judge, self._allowlist, self._wake = judge, allowlist, wake
        self._answer_within, self._max_alert_age = answer_within, max_alert_age

    async def take(self, sightings: Sequence[Sighting], positions: Sequence[Position] = ()) -> list[Taken]:
        """Responds to alerts and moves the positions of the lines that they came from, in one transaction.

        The log batch is acked after it. A sighting that was taken before gets its stored orders, and nothing is sent.
        Raises StoreError; then nothing was done.
        """
        members = self._roster.members()

        def work(connection: Connection) -> list[Taken]:
            now = self._clock.wall()
            advance(connection, positions, now)
            return [self._respond(connection, each, members, now) for each in sightings]

        taken = await self._store.run(work)
        if any(each.orders and not each.repeated for each in taken):
            self._wake()
        return taken

    async def block(self, request: BlockRequest) -> Placed:
        """Orders a block by hand.

        Raises InvalidTarget, ProtectedTarget with the entry that protects it, UnknownAgent, StoreError.
        """
        target = normalise_address(request.address)
        self._allowlist.check(target)
        if not is_host(parse_network(target)):
            raise InvalidTarget(f"{target} is a network; {BLOCK} takes single addresses")  # each agent would refuse it
        members = self._roster.members()
        _check_known(request.agents, members)
        return await self._place(
            request.request_id, "add", lambda connection: self._block(connection, request, target, members)
        )

    async def unblock(self, request: UnblockRequest) -> Placed:
        """Lifts every block of an address that has not ended, also what is still unsent.

        Raises InvalidTarget, StoreError.
        """
        target = normalise_address(request.address)
        members = self._roster.members()
        return await self._place(
            request.request_id, "delete", lambda connection: self._unblock(connection, request, target, members)
        )

    def _respond(self, connection: Connection, sighting: Sighting, members: Members, now: float) -> Taken:
        alert = sighting.alert
        late = now - sighting.at > self._max_alert_age
        if not alerts.put(connection, alert, sighting.at, late, now):
            return Taken(sighting=sighting, orders=tuple(orders.of_origin(connection, alert.id, "add")), repeated=True)
        if late:
            return Taken(sighting=sighting, orders=(), late=True)
        verdict = self._judge(sighting, members, LedgerStanding(connection, now, self._answer_within), now)
        unknown: set[str] = set()
        for order in verdict.orders:
            audience = members.audience(order.location, order.agents)
            orders.put(connection, order, alert.id, audience)
            unknown.update(audience.unknown)
        for offence in verdict.offences:
            offender = Offender(offence=offence.offence, ends_at=offence.ends_at)
            offenders.put(connection, offence.response, offence.target, offender)
        for each in verdict.refusals:
            alerts.refuse(connection, alert.id, each.response, each.target, each.reason, each.detail, now)
        return Taken(
            sighting=sighting, orders=verdict.orders, refusals=verdict.refusals, unknown=tuple(sorted(unknown))
        )

    async def _place(self, request_id: str, operation: Operation, work: Callable[[Connection], list[Order]]) -> Placed:
        def once(connection: Connection) -> Placed:
            stored = orders.of_origin(connection, request_id, operation)
            return Placed(orders=tuple(stored or work(connection)), repeated=bool(stored))

        placed = await self._store.run(once)
        self._wake()
        return placed

    def _block(self, connection: Connection, request: BlockRequest, target: str, members: Members) -> list[Order]:
        now = self._clock.wall()
        named = tuple(sorted(set(request.agents)))
        order = Order(
            id=digest(request.request_id, "", "add", (), request.location, named, target),
            operation="add",
            action=BLOCK,
            location=request.location,
            agents=named,
            target=target,
            timeout=request.timeout,
            issued_at=now,
            deadline=now + (request.timeout or UNTIL_LIFTED),
            expires_at=None if request.timeout is None else now + request.timeout,
            reason=request.reason,
            issuer=request.issuer,
            dry_run=request.dry_run,
        )
        orders.put(connection, order, request.request_id, members.audience(order.location, named))
        return [order]

    def _unblock(self, connection: Connection, request: UnblockRequest, target: str, members: Members) -> list[Order]:
        now = self._clock.wall()
        word = Lifting(request_id=request.request_id, reason=request.reason, issuer=request.issuer)
        offenders.end(connection, target, now)
        return lift(connection, orders.open_on(connection, target, now), word, members, now)


def _check_known(agents: Sequence[str], members: Members) -> None:
    unknown = [agent for agent in agents if agent not in members]
    if unknown:
        known = ", ".join(members.ids()) or "none has been heard of yet"
        raise UnknownAgent(f"no agent is called {', '.join(unknown)}; known agents: {known}")
