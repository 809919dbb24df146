"""Blocks and lifts of many addresses at once, on a person's word.

The writer is had in pieces, between which alerts are responded to, and a request takes no longer than PATIENCE: it
says how far it came, and whoever asked goes on from there. Each order's id comes from the request's id and the address
alone, so that what is asked twice is done once, however the many are parted.
"""

import time
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from manager.by_hand import OrderRequest, check_known, check_protected, order_of, place
from manager.ledger import offenders, on_hold, orders
from manager.ledger.views import Declined
from manager.lifting import Lifting, lift
from manager.roster import Members, Roster
from shared.clock import Clock
from shared.errors import TargetError
from shared.messages import Order
from shared.store import Connection, Store
from shared.targets import Allowlist, normalise_address

PIECE = 0.05  # s that one transaction is let to take, its last address and the commit aside
_OTHERWISE = "request id {} is that of another action, or of a run that was otherwise as to --dry-run; use a new one"
PATIENCE = 2.0  # s for one request, the last piece aside


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of the first `taken` addresses."""

    taken: int
    orders: tuple[Order, ...]  # that are new
    repeated: int = 0  # addresses whose order was known already
    on_hold: bool = False  # some orders are kept back, because the manager is paused
    declined: tuple[Declined, ...] = ()


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

    async def order(self, request: OrderRequest, targets: Sequence[str]) -> Outcome:
        """Orders the same of each, otherwise as `request` says. One that can't be acted on is refused alone.

        Raises UnknownAgent, StoreError; what is done by then stays done.
        """
        check_known(request.agents, self._roster.members())

        def one(turn: _Turn, target: str) -> None:
            self._order(turn, replace(request, target=target))

        return await self._in_pieces(targets, one)

    async def unblock(self, word: Lifting, addresses: Sequence[str]) -> Outcome:
        """Lifts every block of each that has not ended, also what is unsent. Raises StoreError."""
        return await self._in_pieces(addresses, lambda turn, address: _unblock(turn, word, address))

    async def _in_pieces(self, addresses: Sequence[str], one: "_One") -> Outcome:
        began, outcomes, taken = time.monotonic(), list[Outcome](), 0
        while taken < len(addresses) and time.monotonic() - began < PATIENCE:
            members, now, rest = self._roster.members(), self._clock.wall(), addresses[taken:]
            outcomes.append(await self._store.run(lambda connection: _piece(connection, members, now, rest, one)))  # noqa: B023  # awaited here
            taken += outcomes[-1].taken
            self._wake()
        return Outcome(
            taken=taken,
            orders=tuple(order for each in outcomes for order in each.orders),
            repeated=sum(each.repeated for each in outcomes),
            on_hold=any(each.on_hold for each in outcomes),
            declined=tuple(one for each in outcomes for one in each.declined),
        )

    def _order(self, turn: "_Turn", request: OrderRequest) -> None:
        order = order_of(request, turn.now)
        known = orders.find(turn.connection, order.id)
        if known is not None and (known.action, known.dry_run) != (order.action, order.dry_run):
            turn.declined.append(Declined(address=request.target, why=_OTHERWISE.format(request.request_id)))
            return
        if known is not None:
            turn.repeated += 1
            return
        check_protected(order, self._allowlist())  # in here, so that no entry comes between this and the order
        place(turn.connection, order, request.request_id, turn.members)
        turn.on_hold = turn.on_hold or on_hold.holds(turn.connection, order.id)
        turn.orders.append(order)


class _Turn:
    """One transaction, and what came of it so far."""

    def __init__(self, connection: Connection, members: Members, now: float) -> None:
        self.connection, self.members, self.now = connection, members, now
        self.orders, self.declined = list[Order](), list[Declined]()
        self.repeated, self.on_hold = 0, False


_One = Callable[[_Turn, str], None]  # what is done about one address; a TargetError declines it


def _piece(connection: Connection, members: Members, now: float, addresses: Sequence[str], one: _One) -> Outcome:
    """The first of `addresses`: as many as there is time for, and one at least."""
    began, turn, taken = time.monotonic(), _Turn(connection, members, now), 0
    for address in addresses:
        try:
            one(turn, address)
        except TargetError as error:
            turn.declined.append(Declined(address=address, why=str(error)))
        taken += 1
        if time.monotonic() - began >= PIECE:
            break
    return Outcome(
        taken=taken,
        orders=tuple(turn.orders),
        repeated=turn.repeated,
        on_hold=turn.on_hold,
        declined=tuple(turn.declined),
    )


def _unblock(turn: _Turn, word: Lifting, address: str) -> None:
    target = normalise_address(address)
    offenders.end(turn.connection, target, turn.now)
    found = orders.open_on(turn.connection, target, turn.now)
    turn.orders += lift(turn.connection, found, word, turn.members, turn.now)
