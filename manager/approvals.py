"""A person's word on orders that are on hold: let through, turned down, or left until their time is up.

Many at once go in transactions of SOME, so that nobody who decides something waits long for the writer.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import Struct

from manager.ledger import breakers, on_hold, orders, pause
from manager.ledger.on_hold import OnHold, Selection
from manager.ledger.orders import Open
from manager.ledger.views import Objection
from manager.lifting import Lifting, lift
from manager.roster import Members, Roster
from shared.clock import Clock
from shared.errors import InvalidTarget, ManagerPaused, NotOnHold, ProtectedTarget
from shared.messages import Order
from shared.store import Connection, Store
from shared.targets import Allowlist

SOME = 1_000  # orders in one transaction


class Word(Struct, frozen=True, kw_only=True):
    """Whose word it is, and on what: orders by their ids or the beginnings of them, or a selection."""

    issuer: str
    ids: tuple[str, ...] = ()
    selection: Selection | None = None
    reason: str = ""
    before: float | None = None  # on hold by then; None: now


class Decided(Struct, frozen=True, kw_only=True):
    """What became of it. While `more` is true there is more of the selection: ask again, with `before`."""

    orders: tuple[Order, ...]  # let through, or turned down
    objections: tuple[Objection, ...]
    lifts: tuple[Order, ...]  # of what was turned down and had been on its way already
    more: bool
    before: float


class Approvals:
    """Decides about orders on hold. `hold_for` is in seconds; `wake` is called when there is something to send."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        clock: Clock,
        *,
        allowlist: Callable[[], Allowlist],
        hold_for: float,
        wake: Callable[[], None],
    ) -> None:
        self._store, self._roster, self._clock = store, roster, clock
        self._allowlist, self._hold_for, self._wake = allowlist, hold_for, wake

    async def approve(self, word: Word) -> Decided:
        """Sends off what is meant, with its full time, to whom it is for now. What is protected is turned down.

        When nothing that was meant is left, its responses' breakers are closed and count afresh.

        Raises ManagerPaused, StoreError.
        """
        now, members = self._clock.wall(), self._roster.members()
        decided = await self._store.run(lambda connection: self._approve(connection, word, members, now))
        if decided.orders:
            self._wake()
        return decided

    async def refuse(self, word: Word) -> Decided:
        """Turns down what is meant. A breaker that has tripped stays so until it is quiet. Raises StoreError."""
        now, members = self._clock.wall(), self._roster.members()
        decided = await self._store.run(lambda connection: self._refuse(connection, word, members, now))
        if decided.lifts:
            self._wake()
        return decided

    async def lapse(self) -> Decided:
        """Turns down what nobody has decided about in time. Every few seconds. Raises StoreError."""
        now, members = self._clock.wall(), self._roster.members()
        before = now - self._hold_for

        def work(connection: Connection) -> Decided:
            due = on_hold.find(connection, Selection(), before, SOME)
            lifts = [order for held in due for order in _turn_down(connection, held, "lapsed", "", members, now)]
            return _decided(due, (), lifts, before, more=len(due) == SOME)

        decided = await self._store.run(work)
        if decided.lifts:
            self._wake()
        return decided

    def _approve(self, connection: Connection, word: Word, members: Members, now: float) -> Decided:
        _check_not_paused(connection)
        before = on_hold.latest(connection, now) if word.before is None else word.before
        found, objections = _meant(connection, word, before)
        released: list[OnHold] = []
        for held in found:
            why = self._protected(held.order)
            if why:
                on_hold.turn_down(connection, held, why, now)
                objections.append(Objection(order_id=held.order.id, target=held.order.target, why=why))
                continue
            audience = members.audience(held.order.location, held.order.agents)
            order = on_hold.release(connection, held, audience, _said("approved", word), now)
            released.append(msgspec.structs.replace(held, order=order))
        decided = _decided(released, objections, (), before, more=len(found) == SOME and word.selection is not None)
        if not decided.more:
            _close_breakers(connection, word, found, now)
        return decided

    def _refuse(self, connection: Connection, word: Word, members: Members, now: float) -> Decided:
        before = on_hold.latest(connection, now) if word.before is None else word.before
        found, objections = _meant(connection, word, before)
        note = _said("refused", word)
        lifts = [order for held in found for order in _turn_down(connection, held, note, word.issuer, members, now)]
        return _decided(found, objections, lifts, before, more=len(found) == SOME and word.selection is not None)

    def _protected(self, order: Order) -> str:
        """Why the order may not be sent any more; empty when it may."""
        try:
            if order.target and not order.exempt:
                self._allowlist().check(order.target)
        except ProtectedTarget as protected:
            return str(protected)
        except InvalidTarget:
            pass  # an account is on no list
        return ""


def _meant(connection: Connection, word: Word, before: float) -> tuple[list[OnHold], list[Objection]]:
    if word.selection is not None:
        return on_hold.find(connection, word.selection, before, SOME), []
    found: dict[str, OnHold] = {}
    objections = []
    for order_id in word.ids:
        try:
            held = on_hold.named(connection, order_id)
            found[held.order.id] = held
        except NotOnHold as wrong:
            objections.append(Objection(order_id=order_id, target="", why=str(wrong)))
    return list(found.values()), objections


def _turn_down(
    connection: Connection, held: OnHold, note: str, issuer: str, members: Members, now: float
) -> Sequence[Order]:
    """Turns `held` down, and lifts it where it may be in force all the same: it was on its way when a pause came."""
    agents, until = on_hold.may_have(connection, held.order.id), orders.end_of(held.order)
    lifts: Sequence[Order] = ()
    if agents and until > now:
        word = Lifting(request_id=f"turned-down-{held.order.id}", reason=note, issuer=issuer)
        lifts = lift(connection, [Open(order=held.order, until=until, agents=agents)], word, members, now)
    on_hold.turn_down(connection, held, note, now)
    return lifts


def _close_breakers(connection: Connection, word: Word, found: Iterable[OnHold], now: float) -> None:
    """Of responses about which everything is decided; a selection's whole response is, whatever came meanwhile."""
    selection = word.selection
    if selection is not None and selection.target is None:
        named = breakers.tripped(connection, now) if selection.response is None else [selection.response]
        done = set(named)
    else:
        touched = {held.order.response for held in found if held.reason == "breaker"}
        done = {response for response in touched if not on_hold.left_of(connection, response)}
    for response in done:
        breakers.reset(connection, response)


def _check_not_paused(connection: Connection) -> None:
    paused = pause.find(connection)
    if paused is not None:
        by = paused.issuer or "nobody known"
        raise ManagerPaused(f"the manager is paused by {by}, and lets nothing through; `thwart resume` first")


def _said(what: str, word: Word) -> str:
    by = f"{what} by {word.issuer or 'nobody known'}"
    return f"{by}: {word.reason}" if word.reason else by


def _decided(
    some: Iterable[OnHold],
    objections: Iterable[Objection],
    lifts: Iterable[Order],
    before: float,
    *,
    more: bool = False,
) -> Decided:
    return Decided(
        orders=tuple(held.order for held in some),
        objections=tuple(objections),
        lifts=tuple(lifts),
        more=more,
        before=before,
    )
