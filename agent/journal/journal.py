"""The journal: what the agent knows about itself and its host, in one SQLite file. Every method is one transaction.

What only looks (for heartbeats and metrics) reads beside the writer: no order waits until 100,000 ids are hashed.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import dropwhile
from typing import TypeVar

from agent.journal import adoption, backends, errands, planning, policy, proving, settling, standing, taking, times
from agent.journal.errands import Begun
from agent.journal.holding import Hold, holds
from agent.journal.networks import Networks
from agent.journal.planning import Name, Turn
from agent.journal.policy import Ruling
from agent.journal.settling import Outcome, Settled
from agent.journal.standing import Standing
from agent.journal.taking import Taken, Thing
from agent.journal.times import Now
from shared import outbox
from shared.clock import Clock
from shared.messages import ENDING, Acknowledgement, Holds
from shared.store import Connection, Store

_HELD = "SELECT order_id FROM holders WHERE adopted = 0 AND counted = 1 AND (expires_at IS NULL OR expires_at > ?)"
_COUNTS = "SELECT action, count(*) AS number FROM effects GROUP BY action"
_OUTLIVED = """
SELECT count(*) AS number FROM effects e WHERE NOT EXISTS
    (SELECT 1 FROM holders h WHERE h.action = e.action AND h.key = e.key AND h.lifted = 0
        AND (h.ends IS NULL OR h.ends > ?))
"""
_HOLDS = "SELECT count(*) FROM holders WHERE order_id = ?"
_SETTLED = "SELECT status, outcome, ended_detail FROM orders WHERE id = ?"
_OWED = """
SELECT 1 FROM effects e WHERE action = ? AND key = ? AND NOT EXISTS
    (SELECT 1 FROM holders h WHERE h.action = e.action AND h.key = e.key)
"""
_FORGET = """
DELETE FROM orders WHERE forget_at < ? AND status IS NOT NULL AND id NOT IN (SELECT order_id FROM holders)
"""
_FORGET_LIFTED = "DELETE FROM tombstones WHERE forget_at < ?"

Result = TypeVar("Result")


class Journal:
    """Belongs to one process: the one that has the state folder's lock. Every method raises StoreError."""

    def __init__(self, store: Store, agent_id: str, boot_id: str, clock: Clock) -> None:
        """Makes the journal's id with a new file; moves every end when the host was booted since."""
        self.store = store
        self._agent_id, self._boot_id, self._clock = agent_id, boot_id, clock
        resumed = store.run_now(lambda connection: times.resume(connection, boot_id, self.now()))
        self.id, self._since = resumed.journal, resumed.since

    def now(self) -> Now:
        """Both clocks."""
        return Now.by(self._clock)

    async def take(self, things: Sequence[Thing]) -> Taken:
        """Writes a batch down; the broker may forget it once this returns."""
        return await self._write(lambda connection, now: taking.take(connection, things, self._agent_id, now))

    async def plan(self, *, limit: int, again: bool = False, anew: Collection[Name] = ()) -> Turn:
        """What is to be done now; see `planning.plan`."""
        return await self.store.run(
            lambda connection: planning.plan(connection, self.now(), limit=limit, again=again, anew=anew)
        )

    async def begin(
        self, *, busy: Collection[Name], limit: int, at_once: Callable[[str], int], owed: Collection[Name] | None
    ) -> Begun:
        """What slow actions are to do now; see `errands.begin`."""
        return await self.store.run(
            lambda connection: errands.begin(connection, self.now(), busy=busy, limit=limit, at_once=at_once, owed=owed)
        )

    async def names(self) -> list[Name]:
        """All effects but those of slow actions, those that end first before the others."""
        return await self.store.run(standing.names)

    async def settle(self, turn: Turn, outcomes: Mapping[Name, Outcome]) -> Settled:
        """Writes down what became of a turn, with all that is to be said about it."""
        return await self._write(
            lambda connection, now: settling.settle(connection, turn, outcomes, self._agent_id, now)
        )

    async def lift(self, chosen: Callable[[Hold], bool]) -> list[Hold]:
        """Ends what is `chosen` of all that is in force or about to be: marks it, for the next turn to carry out. What
        could not be ended before is among it.
        """

        def work(connection: Connection, now: Now) -> list[Hold]:
            adoption.take_back(connection, chosen)
            some = [each for each in holds(connection) if chosen(each)]
            for each in some:
                taking.bury(connection, each.order_id, each.forget_at)
            return some

        return await self._write(work)

    async def ruling(self) -> Ruling:
        """The managers' allowlist, as it came last. Raises MessageError when a newer program wrote it down."""
        return await self.store.run(policy.kept)

    async def still_held(self, order_ids: Iterable[str]) -> list[str]:
        """These from the first one on that is taken, or holds its effect. Very many end in several turns, about in
        their order, so whoever waits for all of them asks for what is left.
        """
        return await self.store.run(
            lambda connection: list(dropwhile(lambda each: not _is_open(connection, each), order_ids))
        )

    async def around(self, actions: Iterable[str], target: str) -> list[str]:
        """The narrowest network that each of these actions has in force around `target`."""

        def work(connection: Connection) -> list[str]:
            networks = Networks(connection, self.now())
            return list(dict.fromkeys(filter(None, (networks.around(each, target) for each in actions))))

        return await self.store.read(work)

    async def failures(self, lifted: Iterable[Hold]) -> dict[tuple[str, str], str]:
        """By action and target what was said of the reverts that failed, of these holds'."""
        some = list(lifted)
        return await self.store.run(lambda connection: _failures(connection, some))

    async def standing(self, action: str) -> Standing:
        """What the host should have in force of `action`."""
        return await self.store.read(lambda connection: standing.standing(connection, action))

    async def adopt(self, action: str, ends: Mapping[str, float | None]) -> bool:
        """Holds what was found in force and is in no journal; see `adoption.adopt`."""
        return await self._write(lambda connection, now: adoption.adopt(connection, action, ends, now))

    async def release(self) -> None:
        """Lets what was adopted go; see `adoption.release`."""
        await self._write(lambda connection, _: adoption.release(connection))

    async def backends(self) -> dict[Name, bool]:
        """Each action with each backend that may have something in force for it; see `backends.known`."""
        return await self.store.read(backends.known)

    async def use(self, chosen: Mapping[str, str], aliases: Mapping[str, str], suspected: Collection[Name]) -> None:
        """What carries actions out from now on, and may have before, and which names are another's; see `backends`."""

        def work(connection: Connection) -> None:
            backends.merge(connection, aliases)
            backends.use(connection, chosen, suspected)

        await self.store.run(work)

    async def leave(self, names: Collection[Name]) -> None:
        """Nothing is in force by these backends any more."""
        await self.store.run(lambda connection: backends.leave(connection, names))

    async def suspect(self, actions: Collection[str]) -> list[Name]:
        """Marks, and names, what of these actions is in force and not proved; see `proving`."""
        return await self.store.run(lambda connection: proving.suspect(connection, actions))

    async def prove(self) -> None:
        """Nothing is suspected any more."""
        await self.store.run(proving.prove)

    async def condemn(self, names: Iterable[Name], why: str) -> tuple[Acknowledgement, ...]:
        """Fails the orders that hold these; see `proving.condemn`."""
        return await self._write(lambda connection, now: proving.condemn(connection, names, why, self._agent_id, now))

    async def condemned(self, why: str, span: float) -> list[str]:
        """The targets of the orders that were condemned with these words within the last `span` seconds."""
        since = self.now().wall - span
        return await self.store.read(lambda connection: proving.condemned(connection, why, since))

    async def holds(self, at: float) -> Holds:
        """The fingerprint of the orders in force that have more than `ENDING` left at `at`, by their `expires_at`."""

        def work(connection: Connection) -> Holds:
            return Holds.of(row["order_id"] for row in connection.execute(_HELD, (at + ENDING,)))

        return await self.store.read(work)

    async def effects(self) -> dict[str, int]:
        """How many effects there are, by action."""
        return await self.store.read(
            lambda connection: {row["action"]: row["number"] for row in connection.execute(_COUNTS)}
        )

    async def outlived(self) -> int:
        """How many effects are still there although their time is over or somebody ended them."""

        def work(connection: Connection) -> int:
            return int(connection.execute(_OUTLIVED, (self.now().boot,)).fetchone()["number"])

        return await self.store.read(work)

    async def unsent(self) -> int:
        """How many messages wait for the broker."""
        return await self.store.read(outbox.unsent)

    async def tidy(self) -> None:
        """Forgets ids that are a day past their deadline, and writes the clocks down."""

        def work(connection: Connection, now: Now) -> None:
            connection.execute(_FORGET, (now.wall,))
            connection.execute(_FORGET_LIFTED, (now.wall,))

        await self._write(work)

    async def _write(self, work: Callable[[Connection, Now], Result]) -> Result:
        """One transaction that changes something: `now` is read in it, and written down with it."""

        def stamped(connection: Connection) -> Result:
            now = self.now()
            result = work(connection, now)
            times.stamp(connection, self._boot_id, now, self._since)
            return result

        return await self.store.run(stamped)


def _is_open(connection: Connection, order_id: str) -> bool:
    row = connection.execute(_SETTLED, (order_id,)).fetchone()
    (held,) = connection.execute(_HOLDS, (order_id,)).fetchone()
    return bool(held) or (row is not None and row["status"] is None)


def _failures(connection: Connection, some: Sequence[Hold]) -> dict[tuple[str, str], str]:
    failed: dict[tuple[str, str], str] = {}
    for each in some:
        row = connection.execute(_SETTLED, (each.order_id,)).fetchone()
        if row is not None and row["outcome"] == "failed":
            failed[each.action, each.target] = row["ended_detail"]
        elif each.adopted and connection.execute(_OWED, (each.action, each.key)).fetchone():
            failed[each.action, each.target] = "it is to be reverted still"
    return failed
