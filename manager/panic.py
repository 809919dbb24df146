"""The panic button: a pause in which nothing but lifts is sent, and the end of every block at once."""

from collections.abc import Callable

from msgspec import Struct

from manager.ledger import breakers, on_hold, orders, pause
from manager.ledger.views import Pause, Standstill
from manager.lifting import Lifting, lift
from manager.roster import Members, Roster
from shared.clock import Clock
from shared.messages import Order
from shared.store import Connection, Store

SOME = 500  # orders in one transaction, the last target's aside: 0.15 s


class Everything(Struct, frozen=True, kw_only=True):
    """The wish to end what is in force, or may come to be. `after` is where the last answer says to go on."""

    request_id: str
    issuer: str = ""
    reason: str = ""
    after: str = ""


class Lifted(Struct, frozen=True, kw_only=True):
    """What was lifted, and where to go on; None when that was all."""

    orders: int
    deletes: tuple[Order, ...]
    after: str | None


class Panic:
    """Pauses, resumes, lifts everything. `wake` is called when there is something to send; `forget` drops windows."""

    def __init__(
        self, store: Store, roster: Roster, clock: Clock, *, wake: Callable[[], None], forget: Callable[[], None]
    ) -> None:
        self._store, self._roster, self._clock = store, roster, clock
        self._wake, self._forget = wake, forget

    async def pause(self, issuer: str, reason: str) -> Standstill:
        """From now on alerts are responded to, and what comes of it is kept on hold; so is what is unsent.

        What the broker may have already is not: it is on its way. Lifts go out as ever. Raises StoreError.
        """
        now = self._clock.wall()

        def work(connection: Connection) -> Standstill:
            begun = pause.begin(connection, Pause(since=now, issuer=issuer, reason=reason))
            taken = on_hold.take_back(connection, now) if begun else 0
            return _standstill(connection, now, changed=begun, taken_back=taken)

        return await self._store.run(work)

    async def resume(self) -> Standstill:
        """Orders are sent again from now on. What is on hold stays so until somebody decides. Raises StoreError."""
        now = self._clock.wall()
        return await self._store.run(lambda connection: _standstill(connection, now, changed=pause.end(connection)))

    async def status(self) -> Standstill:
        """What is kept back. Raises StoreError."""
        now = self._clock.wall()
        return await self._store.read(lambda connection: _standstill(connection, now))

    async def lift_everything(self, wish: Everything) -> Lifted:
        """Lifts the lasting orders on some targets, also what is on hold, unsent, or another program's.

        Everything that was counted of anybody is forgotten. Raises StoreError.
        """
        now, members = self._clock.wall(), self._roster.members()
        self._forget()
        lifted = await self._store.run(lambda connection: _lift_some(connection, wish, members, now))
        self._wake()
        return lifted


def _standstill(connection: Connection, now: float, *, changed: bool = False, taken_back: int = 0) -> Standstill:
    return Standstill(
        pause=pause.find(connection),
        on_hold=on_hold.by_reason(connection),
        tripped=tuple(breakers.tripped(connection, now)),
        changed=changed,
        taken_back=taken_back,
    )


def _lift_some(connection: Connection, wish: Everything, members: Members, now: float) -> Lifted:
    word = Lifting(request_id=wish.request_id, reason=wish.reason, issuer=wish.issuer)
    deletes: list[Order] = []
    count, after = 0, None
    for target in orders.open_targets(connection, now, wish.after, SOME):
        deletes += lift(connection, orders.open_on(connection, target, now), word, members, now)
        count = sum(len(each.lifts) for each in deletes)
        after = f"{target}\0"  # the next one that there can be
        if count >= SOME:
            break
    return Lifted(orders=count, deletes=tuple(deletes), after=after)
