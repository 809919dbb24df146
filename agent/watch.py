"""When to look at the host, and what was found there: the part of the executor that reconciles.

Actions are asked every second whether somebody else may have changed what they keep, which costs next to nothing, and
looked at only then. What differs is put right in the executor's next turn, like everything else that it does to the
host, so it can't race with one.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Set
from functools import partial
from itertools import islice
from typing import Any

import structlog

from agent.actions.action import Action
from agent.journal.journal import Journal
from agent.journal.planning import Name
from agent.metrics import AgentMetrics
from agent.reconcile import Drift, Found, Seen, compare
from agent.trouble import Trouble
from shared.errors import ActionError
from shared.messages import ENDING

ASK = 1.0  # s between two questions whether anything was changed
LOOK = 2.0  # s between two looks, whatever is changed meanwhile: a listing of 100,000 effects takes its time
AWAY = 5.0  # s without a turn: this process was stopped or the host suspended, and nobody has seen what happened
PATIENCE = 20.0  # times as long as it took, one that could not be looked at is left alone: others wait meanwhile
LONGEST_LOOK = 60.0  # s between two looks while what is put right doesn't stay so
# s that an agent whose journal isn't new holds what nobody knows. Of what has more left than that two heartbeats tell
# that it is missing before they leave it out as about to end, and it is sent again; the rest comes to its own end.
GRACE = ENDING + 30.0

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]

log = structlog.get_logger()


class Watch:
    """Knows what differs. `look` and `put_right` belong to the executor, whose turn it is."""

    def __init__(
        self, journal: Journal, actions: Mapping[str, Action], *, metrics: AgentMetrics, trouble: Trouble
    ) -> None:
        self._journal, self._actions, self._metrics, self._trouble = journal, actions, metrics, trouble
        self._asked: float | None = None  # the boot clock's readings
        self._looked: float | None = None
        self._again: float | None = None  # when to look whether what was put right has stayed so
        self._pause = LOOK
        self._closely = True  # look, whatever the actions say
        self._unsure: set[str] = set()  # look at these, whatever they say
        self._failed: dict[str, tuple[float, ActionError]] = {}  # until when not to look at these, and why
        self._known: set[str] = set()  # of the actions those that were looked at; others may come at any time
        self._taken_over: set[tuple[str, str]] = set()  # of actions the former backends that were looked at
        self._release: float | None = None
        self._drift: dict[Name, Found] = {}
        self._untried: deque[Name] = deque()  # what is known to differ and no turn has tried to put right yet
        self.off: frozenset[Name] = frozenset()  # kept off the host on purpose, just now

    @property
    def drift(self) -> int:
        """How many effects were found to differ and are not put right yet."""
        return len(self._drift)

    @property
    def has_more(self) -> bool:
        """Something is left for the next turn."""
        return bool(self._untried)

    def differing(self, limit: int) -> frozenset[Name]:
        """What the next turn has to put right. What it fails at is left to the next look."""
        return frozenset(islice(self._untried, limit))

    def doubt(self) -> None:
        """Something has happened after which the host must be looked at."""
        self._closely = True

    async def look(self, in_thread: InThread) -> None:
        """Looks, if it is time to and there is reason for it. Raises StoreError."""
        if self._untried:  # there is no use in hearing of it again
            return
        now = self._journal.now().boot
        if self._release is not None and now >= self._release:
            await self._journal.release()
            self._release = None
        if not self._is_time(now):
            return
        looked: dict[str, Seen | ActionError] = await in_thread(self._see)
        problems = {name: each for name, each in looked.items() if isinstance(each, ActionError)}
        self._closely, self._unsure = False, set(problems)
        if looked:
            self._looked = now
        await self._judge({name: each for name, each in looked.items() if isinstance(each, Seen)}, in_thread)
        self._tell(problems)

    async def take_over(self, name: str, former: Action, in_thread: InThread) -> dict[str, float | None]:
        """What `former` has in force for this action, which something else carries out now: seconds left by key. What
        is in no journal at the first look is held from now on. Raises ActionError, StoreError.
        """
        before = self._journal.now().boot
        left: dict[str, float | None] = await in_thread(former.inspect)
        seen = Seen(left=left, before=before, after=self._journal.now().boot)
        if (name, former.backend) not in self._taken_over:
            await self._hold(name, seen, compare(await self._journal.standing(name), seen).found)
            self._taken_over.add((name, former.backend))
        return left

    async def first_look(self, in_thread: InThread) -> None:
        """Looks if nobody has: what was in force before this start is then known, and held."""
        if self._actions.keys() - self._known:
            await self.look(in_thread)

    def put_right(self, tried: Collection[Name], problems: Set[Name]) -> None:
        """A turn has dealt with those that were `tried`, and failed with `problems`."""
        found: dict[Name, Found] = {}
        while self._untried and self._untried[0] in tried:
            name = self._untried.popleft()
            found[name] = self._drift[name]
        if not found:
            return
        done = [each for name, each in found.items() if name not in problems]
        kinds = {f"was_{kind}": list(found.values()).count(kind) for kind in ("missing", "moved", "unknown")}
        log.warning(
            "somebody else had changed what is in force on this host",
            action="reconciled",
            put_right=len(done),
            failed=len(found) - len(done),
            **kinds,
        )
        self._metrics.repaired(done)
        for name in found.keys() - problems:
            del self._drift[name]
        self._metrics.drifted(len(self._drift))

    def _is_time(self, now: float) -> bool:
        """Also takes note of a long silence: then the actions' own word isn't enough."""
        if self._asked is not None:
            if now - self._asked < ASK:
                return False
            self._closely = self._closely or now - self._asked > AWAY
        self._asked = now
        self._closely = self._closely or (self._again is not None and now >= self._again)
        return self._looked is None or now - self._looked >= LOOK

    def _see(self) -> dict[str, Seen | ActionError]:
        """In the actions' thread. One that can't be looked at keeps no other from being."""
        looked = {name: self._inspect(name, each) for name, each in self._actions.items()}
        return {name: each for name, each in looked.items() if each is not None}

    def _inspect(self, name: str, action: Action) -> Seen | ActionError | None:
        asked = self._journal.now().boot
        until, why = self._failed.get(name, (asked, None))
        if why is not None and asked < until:
            return why
        try:
            if not (self._closely or name in self._unsure or action.moved()):
                return None
            before = self._journal.now().boot
            left = action.inspect()
        except ActionError as error:
            now = self._journal.now().boot
            self._failed[name] = now + PATIENCE * (now - asked), error
            return error
        return Seen(left=left, before=before, after=self._journal.now().boot, exact=action.exact)

    def _tell(self, problems: Mapping[str, ActionError]) -> None:
        if problems:
            what, why = next(iter(problems.items()))
            self._trouble.say("watch", f"what is in force by {what} can't be looked at: {why}")
        else:
            self._trouble.over("watch")

    async def _judge(self, seen: Mapping[str, Seen], in_thread: InThread) -> None:
        if not seen:
            return
        self._looked = self._journal.now().boot
        drift: dict[Name, Found] = {}
        for name, one in seen.items():
            standing = await self._journal.standing(name)
            compared: Drift = await in_thread(partial(compare, standing, one))  # 0.1 s for 100,000
            found = compared.found if name in self._known else await self._adopt(name, one, compared.found)
            drift.update(((name, key), each) for key, each in found.items() if (name, key) not in self.off)
            self._unsure.update([name] if compared.unsure else ())
        drift.update((name, each) for name, each in self._drift.items() if name[0] not in seen)
        self._know(drift)
        self._untried = deque(self._drift)
        self._look_again(self._looked)

    def _know(self, drift: dict[Name, Found]) -> None:
        self._drift = drift
        self._metrics.drifted(len(drift))

    def _look_again(self, now: float) -> None:
        """After a repair, sooner or later: what an action says is done may not be, or not for long."""
        if self._drift:
            self._again = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_LOOK)
        else:
            self._again, self._pause = None, LOOK

    async def _adopt(self, action: str, seen: Seen, found: Mapping[str, Found]) -> Mapping[str, Found]:
        """Holds what was there before this start and isn't known; what still differs."""
        await self._hold(action, seen, found)
        self._known.add(action)
        return {key: each for key, each in found.items() if each != "unknown"}

    async def _hold(self, action: str, seen: Seen, found: Mapping[str, Found]) -> None:
        unknown = {key: _ends(seen, key) for key, each in found.items() if each == "unknown"}
        if await self._journal.adopt(action, unknown):
            self._release = self._journal.now().boot + GRACE
        if unknown:
            log.warning("holds what was in force already and is in no journal", action="adopted", count=len(unknown))


def _ends(seen: Seen, key: str) -> float | None:
    left = seen.left[key]
    return None if left is None else seen.after + left
