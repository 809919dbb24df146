"""Slow actions at work: started when a worker is free, settled each as it ends, beside the executor and its turns.

The rule it keeps: nothing waits for a script but what is about the same target, and neither a crash nor a full disk
makes one run twice that just happens. The journal says what is to be done; who is out on an errand is known here alone,
and forgotten with the process.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import tenacity

from agent.actions.action import Call, Result, SlowAction
from agent.journal.errands import Begun, Errand
from agent.journal.journal import Journal
from agent.journal.planning import Name, Turn, Work
from agent.journal.settling import DONE, Outcome, Settled
from agent.trouble import Trouble
from shared.errors import StoreDamaged, StoreError
from shared.messages import Order

LATER = 60.0  # s that this process waits for its end, when that is what was to come of a call
LOOK = 1.0  # s between two looks at the clock while something is to end: a suspended host wakes up late
MOST = 256  # threads; they are made when there is work for them
PAUSE = 2.0  # s before what can't be written down is tried again
FIRST_REST, LONGEST_REST = 10.0, 600.0  # s until what failed and nobody asks for is tried again
INTERRUPTED = "interrupted: the agent was killed while it ran, and it is not run twice"

_How = Callable[[SlowAction], Callable[[Sequence[Call]], list[Result]]]


class Slow(Protocol):
    """Where slow actions are found: `SlowActions`."""

    def get(self, name: str) -> SlowAction | None:
        """The action of that name."""

    def at_once(self, name: str) -> int:
        """How many calls it is given at most."""

    def stop(self) -> None:
        """Ends what is under way, and what comes later at once."""


class Errands:
    """`work` is set when there may be something to do. `tell` is called with what was settled: its messages are in the
    outbox. Of one action up to `workers` are out at once, or one that takes many effects along.
    """

    def __init__(
        self,
        journal: Journal,
        actions: Slow,
        *,
        workers: int,
        trouble: Trouble,
        tell: Callable[[Settled], None],
    ) -> None:
        self.work = asyncio.Event()
        self._journal, self._actions, self._trouble, self._tell = journal, actions, trouble, tell
        self._workers = workers  # for each action, so that one which hangs has its own and nobody else's
        self._threads = ThreadPoolExecutor(max_workers=MOST, thread_name_prefix="slow-actions")
        self._out: dict[asyncio.Task[None], Sequence[Errand]] = {}
        self._beginning = asyncio.Lock()
        self._kept: list[Name] = []  # lanes in which somebody else is at work
        self._later: dict[Name, float] = {}  # lanes, and by the boot clock until when their call may still end us
        self._rests: dict[Name, tuple[float, float]] = {}  # until when by the boot clock, and for how long
        self._next: float | None = None
        self._owes = True  # something may be to be done that nobody orders: after a start nobody knows
        self._stopping = False
        self.news = asyncio.Event()  # set when something was settled; who waits for that clears it first

    @property
    def out(self) -> int:
        """How many calls were started and are not known to have ended."""
        return len(self._out)

    async def run(self) -> None:
        """Starts what can be started until `stop`; then what is out goes on. Raises StoreDamaged."""
        while not self._stopping:
            self.work.clear()
            try:
                await self.begin()
            except StoreDamaged:
                raise
            except StoreError as error:
                self._trouble.say("errands", f"scripts can't be started: {error}")
                await asyncio.sleep(PAUSE)
                continue
            self._trouble.over("errands")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience()):
                    await self.work.wait()

    async def begin(self) -> None:
        """Starts what can be started. Raises StoreError."""
        async with self._beginning:
            await self._begin()

    @asynccontextmanager
    async def kept(self, lane: Name) -> AsyncIterator[bool]:
        """Nothing is started in this lane meanwhile; False when somebody is at work in it."""
        async with self._beginning:
            free = lane not in self._busy()
            self._kept += [lane] if free else []
        try:
            yield free
        finally:
            if free:
                self._kept.remove(lane)
                self.work.set()

    async def _begin(self) -> None:
        for task in [each for each in self._out if each.done()]:
            del self._out[task]
            task.result()
        begun = await self._look()
        self._next = begun.next_at
        for together in self._together(begun.errands):
            task = asyncio.create_task(self._call(together))
            self._out[task] = together
            task.add_done_callback(lambda _: self.work.set())
        if begun.deletes:
            self._say(await self._journal.settle(Turn(deletes=begun.deletes), {}))

    async def _look(self) -> Begun:
        now = self._journal.now().boot
        owes, self._owes = self._owes, False  # what fails meanwhile is owed, though this look doesn't see it
        try:
            begun = await self._journal.begin(
                busy=self._busy(),
                limit=self._workers,
                at_once=self._actions.at_once,
                owed=[name for name, (until, _) in self._rests.items() if until > now] if owes else None,
            )
        except StoreError:
            self._owes = True
            raise
        self._owes = self._owes or begun.owed
        return begun

    def _busy(self) -> list[Name]:
        """The lanes in which somebody is at work, or whose call may still end this process."""
        now = self._journal.now().boot
        self._later = {lane: until for lane, until in self._later.items() if until > now}
        return [each.lane for some in self._out.values() for each in some] + list(self._later) + self._kept

    def _together(self, errands: Iterable[Errand]) -> Iterator[Sequence[Errand]]:
        """Those that one call does."""
        by_action: dict[str, list[Errand]] = defaultdict(list)
        for each in errands:
            by_action[each.work.action].append(each)
        for action, some in by_action.items():
            yield from [some] if self._actions.at_once(action) > 1 else ([each] for each in some)

    async def idle(self) -> None:
        """Returns when nothing is out; for a moment, if `run` runs."""
        while pending := [each for each in self._out if not each.done()]:
            await asyncio.wait(pending)

    def stop(self) -> None:
        """`run` starts what it has marked as started, and returns. Cancelled in between, it would leave one-shots that
        were never started and that the next start takes for interrupted.
        """
        self._stopping = True
        self.work.set()

    async def end(self, patience: float) -> None:
        """Waits for what is out, up to `patience` seconds. What is ended then is left to the next start: it has not
        been settled. Call it when `run` has returned.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.idle()
        for task in self._out:
            task.cancel()
        self._actions.stop()
        await asyncio.gather(*self._out, return_exceptions=True)
        self._threads.shutdown()

    async def _call(self, errands: Sequence[Errand]) -> None:
        outcomes = await asyncio.get_running_loop().run_in_executor(self._threads, self._carry_out, errands)
        ends_us = [outcomes[each.work.name].apply.later for each in errands]
        until = self._journal.now().boot + LATER
        self._later.update((each.lane, until) for each, later in zip(errands, ends_us, strict=True) if later)
        turn = Turn(works=tuple(each.work for each, later in zip(errands, ends_us, strict=True) if not later))
        if not turn:
            return
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(StoreError) & tenacity.retry_if_not_exception_type(StoreDamaged),
            wait=tenacity.wait_fixed(PAUSE),
            before_sleep=lambda _: self._trouble.say("errands", "what a script did can't be written down"),
            reraise=True,
        )
        settled: Settled = await attempts(self._journal.settle, turn, outcomes)
        for work in turn.works:
            self._remember(work, outcomes[work.name])
        self._say(settled)

    def _carry_out(self, errands: Sequence[Errand]) -> dict[Name, Outcome]:
        """In a worker's thread. What was interrupted isn't run again, but what it comes upon may have to end."""
        reverts = self._done(
            [_call_for(each, each.ordered or each.coming) for each in errands if each.work.revert],
            errands[0].work.action,
            lambda action: action.revert,
        )
        # before anything is applied, which may be to end this process once more
        resumed = {each.work.key: self._resumed(each) for each in errands if each.interrupted}
        applies = resumed | self._done(
            [_call_for(each, each.coming or each.ordered) for each in errands if each.work.apply],
            errands[0].work.action,
            lambda action: action.apply,
        )
        return {
            each.work.name: Outcome(revert=reverts.get(each.work.key, DONE), apply=applies.get(each.work.key, DONE))
            for each in errands
        }

    def _done(self, calls: Sequence[Call], name: str, how: _How) -> dict[str, Result]:
        if not calls:
            return {}
        action = self._actions.get(name)
        if action is None:
            return {call.key: Result(key=call.key, problem=not_here(name)) for call in calls}
        return {result.key: result for result in how(action)(calls)}

    def _resumed(self, errand: Errand) -> Result:
        action = self._actions.get(errand.work.action)
        known = action.resumed(_call_for(errand, errand.coming)) if action else None
        return known or Result(key=errand.work.key, problem=INTERRUPTED)

    def _say(self, settled: Settled) -> None:
        self._tell(settled)
        self.news.set()
        self.work.set()

    def _remember(self, work: Work, outcome: Outcome) -> None:
        """What failed and is still owed rests, longer and longer while it goes on failing."""
        name = work.name
        _, rest = self._rests.pop(name, (0.0, FIRST_REST / 2))
        if outcome.revert.problem or (outcome.apply.problem and not work.just_happens):
            self._owes = True
            rest = min(2 * rest, LONGEST_REST)
            self._rests[name] = self._journal.now().boot + rest, rest
            self._trouble.say("scripts", f"{name[0]} failed, {name[1]}: {outcome.problem}")
        elif not self._rests:
            self._trouble.over("scripts")

    def _patience(self) -> float | None:
        """Seconds until there may be something to do without being told; None: not before."""
        due = [until for until, _ in self._rests.values()] + list(self._later.values())
        due += [] if self._next is None else [self._next]
        if not due:
            return None
        left = min(due) - self._journal.now().boot
        return LOOK if left <= 0 else min(left, LOOK)


def not_here(name: str, why: str = "") -> str:
    """What is said of an action that this host had once; `why` it lacks that, if it knows of it at all."""
    why = why or "its script or package is gone, and what it has in force can't be ended before that is back"
    return f"{name} can't be carried out on this host any more: {why}"


def _call_for(errand: Errand, order: Order | None) -> Call:
    work, coming = errand.work, errand.coming
    return Call(
        key=work.key,
        target=work.target,
        arguments=work.arguments,
        alert=order.alert if order else {},
        lasting=coming is None or coming.lasting,
        in_force=errand.in_force,
    )
