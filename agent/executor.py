"""The one owner of the host's state: takes turns, each with what is due and what has arrived since the last one.

Written down, then done, then answered: a turn that is cut short anywhere is planned again from the journal, and what
it had done to the host is done again, which changes nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Set
from contextlib import suppress
from itertools import chain
from types import MappingProxyType
from typing import TypeVar

from msgspec import Struct

from agent.actions.action import Action, Effect
from agent.errands import Errands, Slow
from agent.hands import Hands
from agent.journal.holding import Hold
from agent.journal.journal import Journal
from agent.journal.planning import FOREVER, Name, Turn
from agent.journal.settling import Outcome, Settled
from agent.metrics import AgentMetrics
from agent.telling import tell
from agent.trouble import Trouble
from agent.watch import Watch
from shared.errors import StoreDamaged, StoreError

LIMIT = 1_000  # ends, and orders, in one turn: neither starves behind a flood of the other
ANEW = 12_000  # effects that are applied again in one turn: 15 MB of plan, and 0.4 s
LOOK = 1.0  # s between two looks at the clock: a suspended host wakes up late
PAUSE = 2.0  # s after a turn that could not be written down
FIRST_RETRY, LONGEST_RETRY = 10.0, 600.0  # s until what failed on the host is tried again

T = TypeVar("T")


class Lifted(Struct, frozen=True, kw_only=True):
    """What somebody on this host ended: the orders, and by action and target the words of the reverts that failed."""

    orders: tuple[Hold, ...]
    problems: Mapping[tuple[str, str], str]


class Executor:
    """Carries out what the journal says. All calls of `actions` come from one thread of its own.

    `said` is called when there are messages for the broker. Nothing here waits for the broker.
    """

    def __init__(
        self,
        journal: Journal,
        actions: Mapping[str, Action],
        *,
        metrics: AgentMetrics,
        trouble: Trouble,
        said: Callable[[], None] = lambda: None,
        limit: int = LIMIT,
        slow: Slow | None = None,
        workers: int = 1,
        unsupported: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`slow` are the actions that take their time, of each of which so many `workers` may be out. `unsupported`
        says what this host lacks for an action that isn't among `actions`, which may grow.
        """
        self.work = asyncio.Event()
        self._stopping = asyncio.Event()
        self._journal, self._actions = journal, actions
        self._metrics, self._trouble, self._said, self._limit = metrics, trouble, said, limit
        self._one = asyncio.Lock()
        self._next: float | None = None  # the boot clock's reading when the next hold is over
        self._more = False  # the last turn left something for the next
        self._retry = _Retry()
        self._failed = False  # a turn since this was last set
        self.errands = Errands(journal, slow or _None(), workers=workers, trouble=trouble, tell=self._tell)
        self._watch = Watch(journal, actions, metrics=metrics, trouble=trouble)
        self._hands = Hands(actions, unsupported, boot=lambda: journal.now().boot, doubt=self._watch.doubt)
        self.formers = self._hands.formers
        # called when something that may cut this host off has come into force, and what is said of it is in the outbox
        self.when_applied: Callable[[], None] = lambda: None
        self.when_settled: Callable[[Settled], None] = lambda settled: None  # called with all that was

    @property
    def off(self) -> frozenset[Name]:
        """What is kept off the host just now, though the journal has it in force."""
        return self._watch.off

    @property
    def drift(self) -> int:
        """How many effects the host has otherwise than the journal says, as far as is known."""
        return self._watch.drift

    async def between_turns(self, work: Callable[[], T]) -> T:
        """Does this in the thread in which all actions are called."""
        async with self._one:
            return await self._hands.do(work)

    async def anew(self) -> None:
        """More can be carried out than before: what should be in force is applied again. Raises StoreError."""
        async with self._one:
            await self._apply_anew()
        self.work.set()

    async def take_over(self, name: str, former: Action, *, used: bool) -> str:
        """What `former` has in force for this action is put in force by what carries it out now, and only then taken
        off there; what went wrong. `used`: by an earlier run. Raises ActionError when it can't tell, StoreError.
        """
        async with self._one:
            found = await self._found(name, former, used=used)
            if found:
                self.formers.add(name, former)
            wanted = (await self._journal.standing(name)).ends
            needed = await self._only_there(name, found.keys() & wanted)
            if needed:
                await self._apply_anew()
                wanted = (await self._journal.standing(name)).ends
                needed = await self._only_there(name, needed & wanted.keys())
            # also what is there and in force for nobody just now, as something else comes before it
            keys = found.keys() | (wanted if used else ())
            effects = [Effect(key=key, target=key) for key in keys - needed]
            results = await self._hands.do(lambda: former.revert(effects)) if effects else []
        missing = ["not everything could be taken over"] if needed else []
        return next(chain((each.problem for each in results if each.problem), missing), "")

    async def _found(self, name: str, former: Action, *, used: bool) -> Mapping[str, float | None]:
        """What `former` has in force for this action. Raises ActionError when it can't tell, StoreError."""
        if not used:
            return await self._watch.take_over(name, former, self._hands.do)
        try:  # of two chains in one hook the later has nothing in force for sure, and would say so
            await self._hands.do(former.prepare)
            return await self._watch.take_over(name, former, self._hands.do)
        finally:
            await self._hands.do(self._actions[name].prepare)

    async def _only_there(self, name: str, wanted: Set[str]) -> set[str]:
        """Those of `wanted` that aren't in force by what carries this action out now."""
        in_force = await self._hands.do(self._actions[name].inspect) if wanted else {}
        return {key for key in wanted - in_force.keys() if (name, key) not in self.off}

    async def start(self) -> None:
        """What is due is ended, what should be in force is applied again for the time left, silently, and what an
        earlier run took and did not finish is carried out. What is in force besides is adopted. Raises StoreError.
        """
        async with self._one:
            await self._apply_anew()
            while await self._take_turn() and self._more:
                pass
            await self._watch.first_look(self._hands.do)

    def stop(self) -> None:
        """`run` finishes the turn that it is in, and returns."""
        self._stopping.set()
        self.work.set()

    async def run(self) -> None:
        """Takes turns until `stop`. Raises StoreDamaged: there is no use in going on."""
        while not self._stopping.is_set():
            self.work.clear()
            try:
                await self.turn()
                self.errands.work.set()
            except StoreDamaged:
                raise
            except StoreError as error:
                # Done to the host and not written down: the next turn does the same again.
                self._trouble.say("journal", f"what was done can't be written down: {error}")
                await _first_of(self._stopping, PAUSE)
            else:
                self._trouble.over("journal")
                if not self._more:
                    await _first_of(self.work, self._patience())

    async def turn(self) -> bool:
        """Does what is due and what has arrived, up to the limit, and puts right what somebody else has changed.

        False when there was nothing. Raises StoreError.
        """
        async with self._one:
            await self._watch.look(self._hands.do)
            now = self._journal.now().boot
            if self._retry.is_due(now, all_of_it=True):
                await self._apply_anew()
                return True
            return await self._take_turn(again=self._retry.is_due(now))

    async def lift(self, chosen: Callable[[Hold], bool]) -> Lifted:
        """Ends what is `chosen` of all that is in force or about to be, and returns when it is. Raises StoreError."""
        async with self._one:
            await self._watch.first_look(self._hands.do)  # without it nobody knows what a lost journal has left
        orders = await self._journal.lift(chosen)
        ids = [each.order_id for each in orders]
        self.errands.work.set()
        while ids := await self._still_held(ids):
            if not await self.turn():
                await _first_of(self.errands.news, LOOK)
        return Lifted(orders=tuple(orders), problems=await self._journal.failures(orders))

    async def _still_held(self, ids: list[str]) -> list[str]:
        self.errands.news.clear()
        return await self._journal.still_held(ids)

    async def around(self, target: str) -> list[str]:
        """The networks in force that `target` lies in. Raises StoreError."""
        return await self._journal.around(self._actions, target)

    async def keep_off(self, names: Collection[Name]) -> None:
        """Takes exactly these off the host, and puts back what else was off if it is still to be in force.

        The journal goes on as if all of it were. Raises StoreError.
        """
        async with self._one:
            before, self._watch.off = self._watch.off, frozenset(names)
            try:
                await self._take_turn(differing=before ^ self._watch.off)
            except BaseException:
                self._watch.off |= before  # whoever tries again puts back everything that may be off
                raise

    async def condemn(self, names: Collection[Name], why: str) -> None:
        """Ends these, which are off the host: the orders that hold them have failed, and `why` is what they are
        answered now. Raises StoreError.
        """
        async with self._one:
            said = await self._journal.condemn(names, why)
            self._watch.off -= frozenset(names)
            self._tell(Settled(acknowledgements=said))

    def close(self) -> None:
        """Waits for the action that is under way."""
        self._hands.close()

    async def _apply_anew(self) -> None:
        """Whatever should be in force, in several turns if that is very much: no order waits for all of it, and the
        plan for a hundred thousand would take 130 MB.
        """
        self._failed = False
        names = await self._journal.names()
        for begin in range(0, len(names), ANEW):
            await self._take_turn(differing=names[begin : begin + ANEW])
        if not self._failed:
            self._all_is_well()

    async def _take_turn(self, *, again: bool = False, differing: Collection[Name] = ()) -> bool:
        anew = self._watch.differing(ANEW).union(differing)
        turn = await self._journal.plan(limit=self._limit, again=again, anew=anew)
        if turn:
            outcomes = await self._hands.carry_out(turn, self._watch.off)
            settled = await self._journal.settle(turn, outcomes)
            self._next = settled.next_end
            self._tell(settled)
            self._look_for_problems(turn, outcomes, again)
            self._watch.put_right(anew, {name for name, outcome in outcomes.items() if outcome.problem})
            if settled.waits and any(self._hands.may_cut_off(work) for work in turn.works):
                self.when_applied()
        else:
            self._next = turn.next_end  # what was to end next may have failed meanwhile
            if again:
                self._all_is_well()
        self._more = turn.more or self._watch.has_more
        return bool(turn)

    def _tell(self, settled: Settled) -> None:
        self._said()
        self._metrics.settled(settled)
        self.when_settled(settled)
        tell(settled)

    def _look_for_problems(self, turn: Turn, outcomes: Mapping[Name, Outcome], tried_again: bool) -> None:
        """Remembers that something on the host isn't as it should be, to try it again later."""
        problems = {
            f"{work.action} {work.key}": (outcome.problem, bool(work.staying))
            for work in turn.works
            for outcome in [outcomes[(work.action, work.key)]]
            if outcome.problem
        }
        if problems:
            self._failed = True
            what, (why, _) = next(iter(problems.items()))
            self._trouble.say("host", f"{len(problems)} effects are not as they should be, {what} for one: {why}")
            self._retry.failed(self._journal.now().boot, all_of_it=any(standing for _, standing in problems.values()))
        elif tried_again:
            self._all_is_well()

    def _all_is_well(self) -> None:
        self._retry = _Retry()
        self._trouble.over("host")

    def _patience(self) -> float:
        """Seconds until there may be something to do without being told."""
        due = [each for each in (self._next, self._retry.at) if each is not None]
        left = min(due, default=FOREVER) - self._journal.now().boot
        return min(max(left, 0.0), LOOK)


class _None:
    """No slow actions."""

    def get(self, name: str) -> None:
        return None

    def at_once(self, name: str) -> int:
        return 1

    def stop(self) -> None:
        pass


class _Retry:
    """When what failed is tried again: later and later while it goes on failing."""

    def __init__(self) -> None:
        self.at: float | None = None
        self._pause = FIRST_RETRY
        self._all_of_it = False

    def failed(self, now: float, *, all_of_it: bool) -> None:
        if self.at is None or now >= self.at:
            self.at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_RETRY)
        self._all_of_it = self._all_of_it or all_of_it

    def is_due(self, now: float, *, all_of_it: bool = False) -> bool:
        """With `all_of_it`: whether everything in force is to be applied again, and not only what is to go."""
        return self.at is not None and now >= self.at and (self._all_of_it or not all_of_it)


async def _first_of(event: asyncio.Event, seconds: float) -> None:
    """Returns when `event` is set or `seconds` have passed.

    Not by `wait_for`: its task for the waiting takes two more turns of the loop, and each order waits for them.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
