"""Blocks and lifts of many addresses at once, on a person's word.

The writer is had in pieces, between which alerts are responded to, and a request takes no longer than PATIENCE: it
says how far it came, and whoever asked goes on from there. Each order's id comes from the request's id and the address
alone, so that what is asked twice is done once, however the many are parted.
"""

import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from manager.dispatch import BlockRequest, UnblockRequest, block_order, check_known, place
from manager.ledger import offenders, on_hold, orders
from manager.ledger.views import Declined
from manager.lifting import Lifting, lift
from manager.roster import Members, Roster
from shared.clock import Clock
from shared.errors import TargetError
from shared.messages import Order
from shared.store import Connection, Store
from shared.targets import Allowlist, normalise_address

ROWS = 1_000  # of orders and agents in one transaction: 50 ms
_OTHERWISE = "request id {} is that of a run that was otherwise as to --dry-run; use a new one"
PATIENCE = 2.0  # s for one request, the last piece aside


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of the first `taken` addresses."""

    taken: int
    orders: tuple[Order, ...]  # that are new
    repeated: int = 0  # addresses whose order was known already
    on_hold: bool = False  # some orders are kept back, because the manager is paused
    declined: tuple[Declined, ...] = ()


_Work = Callable[[Connection, Members, Sequence[str], float], Outcome]  # the last is now


class Many:
    """`wake` is called when there is something to send."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        clock: Clock,
        *,
        allowlist: Callable[[], Allowlist],
        wake: Callable[[], None],
    ) -> None:
        self._store, self._roster, self._clock = store, roster, clock
        self._allowlist, self._wake = allowlist, wake

    async def block(self, request: BlockRequest, addresses: Sequence[str]) -> Outcome:
        """Orders a block of each, otherwise as `request` says. One that can't be blocked is refused alone.

        Raises UnknownAgent, StoreError; what is done by then stays done.
        """
        members = self._roster.members()
        check_known(request.agents, members)
        audience = members.audience(request.location, request.agents).known

        def work(connection: Connection, members: Members, some: Sequence[str], now: float) -> Outcome:
            return self._block(connection, members, request, some, now)

        return await self._in_pieces(addresses, max(1, ROWS // (1 + len(audience))), work)

    async def unblock(self, request: UnblockRequest, addresses: Sequence[str]) -> Outcome:
        """Lifts every block of each that has not ended, also what is unsent. Raises StoreError."""

        def work(connection: Connection, members: Members, some: Sequence[str], now: float) -> Outcome:
            return _unblock(connection, members, request, some, now)

        return await self._in_pieces(addresses, max(1, ROWS // (1 + len(self._roster.members().ids()))), work)

    async def _in_pieces(self, addresses: Sequence[str], size: int, work: _Work) -> Outcome:
        began, outcomes, taken = time.monotonic(), list[Outcome](), 0
        while taken < len(addresses) and time.monotonic() - began < PATIENCE:
            members, now = self._roster.members(), self._clock.wall()
            piece = addresses[taken : taken + size]
            outcomes.append(await self._store.run(lambda connection: work(connection, members, piece, now)))  # noqa: B023  # awaited here
            taken += len(piece)
            self._wake()
        return Outcome(
            taken=taken,
            orders=tuple(order for each in outcomes for order in each.orders),
            repeated=sum(each.repeated for each in outcomes),
            on_hold=any(each.on_hold for each in outcomes),
            declined=tuple(one for each in outcomes for one in each.declined),
        )

    def _block(
        self, connection: Connection, members: Members, request: BlockRequest, some: Sequence[str], now: float
    ) -> Outcome:
        fresh, repeated, declined, waits = list[Order](), 0, list[Declined](), False
        for address in some:
            try:
                order = block_order(request, normalise_address(address), now)
                known = orders.find(connection, order.id)
                if known is not None and known.dry_run != order.dry_run:
                    declined.append(Declined(address=address, why=_OTHERWISE.format(request.request_id)))
                    continue
                if known is not None:
                    repeated += 1
                    continue
                self._allowlist().check(order.target)  # in here, so that no entry comes between this and the order
            except TargetError as error:
                declined.append(Declined(address=address, why=str(error)))
                continue
            place(connection, order, request.request_id, members)
            waits = waits or on_hold.holds(connection, order.id)
            fresh.append(order)
        return Outcome(taken=len(some), orders=tuple(fresh), repeated=repeated, on_hold=waits, declined=tuple(declined))


def _unblock(
    connection: Connection, members: Members, request: UnblockRequest, some: Sequence[str], now: float
) -> Outcome:
    word = Lifting(request_id=request.request_id, reason=request.reason, issuer=request.issuer)
    found, declined = [], list[Declined]()
    for address in some:
        try:
            target = normalise_address(address)
        except TargetError as error:
            declined.append(Declined(address=address, why=str(error)))
            continue
        offenders.end(connection, target, now)
        found += orders.open_on(connection, target, now)
    deletes = lift(connection, found, word, members, now)
    return Outcome(taken=len(some), orders=tuple(deletes), declined=tuple(declined))
