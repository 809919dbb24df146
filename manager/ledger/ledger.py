"""The ledger as the rest of the manager sees it: what agents said goes in, what people ask comes out.

Orders of our own go in through `manager.dispatch`, in transactions that decide them; those of others here.
"""

from collections.abc import Callable, Collection, Sequence

from manager.ledger import (
    answers,
    blocks,
    dead_letters,
    foreign,
    offenders,
    on_hold,
    orders,
    reads,
    retention,
    unanswered,
)
from manager.ledger.answers import Closed, Event, Lapsed, Named, Recorded
from manager.ledger.dead_letters import Undelivered
from manager.ledger.foreign import Admitted, Given
from manager.ledger.offenders import Offenders
from manager.ledger.unanswered import Unanswered
from manager.ledger.views import (
    Block,
    BlockQuery,
    BlockStory,
    DeadLetter,
    Offence,
    OffenderStory,
    OrderQuery,
    OrderStory,
    OrderView,
)
from shared.broker import Publication
from shared.clock import Clock
from shared.store import Connection, Store

EVERYTHING = BlockQuery()


class Ledger:
    """Every method is one transaction in a thread of the store's; each raises StoreError when the database fails.

    `living` gives the ids of agents that have a live heartbeat; spans are seconds.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        living: Callable[[], Collection[str]],
        *,
        answer_within: float,
        retention: float,
        offence_memory: float,
    ) -> None:
        self._store, self._clock, self._living = store, clock, living
        self._answer_within, self._retention, self._offence_memory = answer_within, retention, offence_memory

    async def record(self, events: Sequence[Event]) -> Recorded:
        """Writes down and merges answers and expiries, in one transaction. Twice is safe; the broker's ack follows."""
        now = self._clock.wall()
        return await self._store.run(lambda connection: answers.record(connection, events, now))

    def confirmed(self, connection: Connection, published: Sequence[Publication]) -> None:
        """The outbox's hook, in the transaction that deletes its rows: these orders are sent."""
        now = self._clock.wall()
        on_hold.were_sent(connection, {each.message_id for each in published if each.kind == orders.KIND}, now)
        orders.confirmed(connection, published, now)

    async def known(self, seen: Sequence[tuple[str, bytes]]) -> set[str]:
        """Those of these ids under which the ledger holds an order with just this body."""
        return await self._store.read(lambda connection: foreign.known(connection, seen))

    async def admit(self, given: Sequence[Given]) -> list[Admitted]:
        """Writes down orders that others gave; the broker's ack follows. Twice is safe."""
        now = self._clock.wall()
        return await self._store.run(lambda connection: foreign.admit(connection, given, now))

    async def bury(self, letters: Sequence[DeadLetter], undelivered: Sequence[Undelivered]) -> Lapsed:
        """Writes down what could not be taken, and settles the orders among them; the broker's ack follows."""

        def work(connection: Connection) -> Lapsed:
            dead_letters.put(connection, letters)
            closed = dead_letters.settle(connection, undelivered, self._clock.wall())
            return Lapsed(count=len(undelivered), closed=closed)

        return await self._store.run(work)

    async def dead_letters(self, reason: str | None, limit: int) -> list[DeadLetter]:
        """What could not be taken, the newest first."""
        return await self._store.read(lambda connection: dead_letters.newest(connection, reason, limit))

    async def settle_due(self) -> Lapsed:
        """Settles what was never answered and is past its deadline. Every few seconds."""
        before = self._clock.wall() - self._answer_within  # an answer may be on its way
        count, closed = 0, list[Closed]()
        while True:  # some at a time, as `forget_old`
            some = await self._store.run(lambda connection: answers.lapse(connection, before))
            count, closed = count + some.count, [*closed, *some.closed]
            if some.count < answers.SOME:
                return Lapsed(count=count, closed=tuple(closed))

    async def forget_old(self) -> int:
        """Deletes what is older than the retention; how many orders. Every minute or so.

        In many transactions, between which everybody else has the writer.
        """
        now = self._clock.wall()
        before, gone = now - self._retention, 0
        while some := await self._store.run(lambda connection: retention.forget_orders(connection, before)):
            gone += some
        while await self._store.run(lambda connection: retention.forget_alerts(connection, before)):
            pass
        await self._store.run(lambda connection: retention.forget(connection, before, now - self._offence_memory, now))
        return gone

    async def orders(self, query: OrderQuery) -> list[OrderView]:
        """Orders that `query` asks for, newest first."""
        now = self._now()
        return await self._store.read(lambda connection: reads.orders(connection, query, now))

    async def order(self, order_id: str) -> OrderStory | None:
        """One order with its alert, its agents and what they said; the start of an id will do if it is no other's."""
        now = self._now()
        return await self._store.read(lambda connection: reads.order(connection, order_id, now))

    async def named(self, ids: Collection[str]) -> dict[str, Named]:
        """What these orders are about, by id."""
        return await self._store.read(lambda connection: answers.named(connection, ids))

    async def starting(self, beginning: str) -> list[str]:
        """The ids of some orders that begin so."""
        return await self._store.read(lambda connection: reads.starting(connection, beginning))

    async def blocks(self, query: BlockQuery = EVERYTHING) -> list[Block]:
        """What is in force of what `query` asks for, by the agents' own answers."""
        now = self._clock.wall()
        return await self._store.read(lambda connection: blocks.blocks(connection, query, now))

    async def block(self, target: str) -> BlockStory:
        """All that concerns the block of an address or network."""
        now = self._now()
        return await self._store.read(lambda connection: blocks.story(connection, target, now))

    async def offenders(self, wanted: Offenders) -> list[Offence]:
        """Who is remembered, whose block ends last first."""
        now, memory = self._clock.wall(), self._offence_memory
        return await self._store.read(lambda connection: offenders.listed(connection, wanted, memory, now))

    async def offender(self, target: str) -> OffenderStory:
        """What is remembered of a target, what responses ordered about it, and what of that is in force."""
        now, memory = self._now(), self._offence_memory

        def work(connection: Connection) -> OffenderStory:
            known = offenders.listed(connection, Offenders(target=target), memory, now.at)
            given = blocks.open_orders(connection, target, now, lambda view: bool(view.order and view.order.response))
            held = blocks.blocks(connection, BlockQuery(target=target), now.at)
            return OffenderStory(target=target, offences=tuple(known), orders=given, blocks=tuple(held))

        return await self._store.read(work)

    async def pardon(self, wanted: Offenders) -> list[Offence]:
        """Forgets what is remembered of a target: its next offence is a first one."""
        now, memory = self._clock.wall(), self._offence_memory
        return await self._store.run(lambda connection: offenders.pardon(connection, wanted, memory, now))

    async def unanswered(self) -> Unanswered:
        """What agents owe an answer to."""
        now = self._now()
        return await self._store.read(
            lambda connection: unanswered.unanswered(connection, now.at, now.answer_within, now.living)
        )

    def _now(self) -> reads.Now:
        living = frozenset(self._living())
        return reads.Now(at=self._clock.wall(), living=living, answer_within=self._answer_within)
