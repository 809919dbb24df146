"""Whether what came into force has cut this host off from its broker, and if so, what of it.

The rule it keeps: it takes back only what was seen to cut the host off. With it the broker could not be reached, right
after that without it it could, and it had been reached before it came. A broker that is merely away, or comes and
goes, blames nobody: whatever was taken off the host for a moment is put back.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Literal, Protocol

import structlog
from msgspec import Struct

from agent.culprits import Host, Search
from agent.journal.planning import Name
from agent.metrics import AgentMetrics
from agent.trouble import Trouble
from shared.broker import Reach
from shared.errors import StoreError
from shared.targets import Allowlist, names_host

WHY = "cut-off: with it in force this host could not reach its broker, without it it could"
REMEMBERED = 3_600.0  # s: an attacker whose address cuts this host off may give cause for one order after another
BECAUSE = "blocking it cut this host off from its broker within the last hour"
NEVER = float("inf")
NOBODY = Allowlist()

Verdict = Literal["cut-off", "broker-away"]

log = structlog.get_logger()


class Timing(Struct, frozen=True, kw_only=True):
    """Seconds."""

    proof: float = 5.0  # until what came into force must be proved, else it is tested
    doubt: float = 60.0  # the same, when the broker is away for another reason, by all that is known
    probe: float = 3.0  # that the broker may take to let us in
    longest: float = 600.0  # between two tests while the broker stays away


class Way(Protocol):
    """What is known without asking of the way to the broker; `broker.Publisher` is one."""

    reached_at: float  # time.monotonic() when the latest message set out that the broker has answered
    connections: int  # made so far
    connected: asyncio.Event


class Journal(Protocol):
    """What has to survive a crash in the middle of a test."""

    async def suspect(self, actions: Collection[str]) -> list[Name]:
        """Marks, and names, what is in force and not proved."""

    async def prove(self) -> None:
        """Nothing is suspected any more."""

    async def condemned(self, why: str, span: float) -> list[str]:
        """The targets of what was condemned so within the last `span` seconds."""


class SelfTest:
    """Watches over what comes into force. `applied` is called with each batch of it; `run` does the rest."""

    def __init__(
        self,
        host: Host,
        journal: Journal,
        way: Way,
        ask: Callable[[], Awaitable[Reach]],
        actions: Callable[[], Collection[str]],
        *,
        metrics: AgentMetrics,
        trouble: Trouble,
        timing: Timing,
    ) -> None:
        """`ask` makes a fresh connection to the broker; `actions` are those that may cut this host off."""
        self._host, self._journal, self._way, self._ask, self._actions = host, journal, way, ask, actions
        self._metrics, self._trouble, self._timing = metrics, trouble, timing
        self._since: float | None = None  # the oldest that is not proved came into force later than this
        self._latest = self._due = NEVER
        self._pause = timing.proof
        self._let_in_at = -NEVER  # when the latest probe that was let in began
        self._marked = False
        self._changed = asyncio.Event()
        self._learned, self._forgets_at = NOBODY, NEVER

    def learned(self) -> Allowlist:
        """Whom this host must not block, because that has cut it off."""
        return self._learned if time.monotonic() < self._forgets_at else NOBODY

    def applied(self) -> None:
        """Something came into force just now, and what is said about it is in the outbox."""
        self._reached(self._way.reached_at)
        self._latest = time.monotonic()
        if self._since is None:
            was_there = self._way.connected.is_set() or not self._way.connections  # orders come from there, after all
            self._wait(self._latest, self._timing.proof if was_there else self._timing.doubt)

    async def run(self) -> None:
        """Until cancelled; what is off the host then is put back. Raises StoreError."""
        try:
            await self._put_back()
            await self._learn()
            # An earlier run may have been killed before anything was proved, or in the middle of a test.
            self._marked = bool(await self._journal.suspect(self._actions()))
            if self._marked:
                self.applied()
            while True:
                await self._until_due()
                await self._look()
        finally:
            with suppress(StoreError):  # then the next run does it, or the next start
                await self._put_back()

    async def _put_back(self) -> None:
        if self._host.off:
            await self._host.keep_off(())

    async def _until_due(self) -> None:
        while (left := self._due - time.monotonic()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if left == NEVER else left):
                    await self._changed.wait()

    async def _look(self) -> None:
        self._reached(self._way.reached_at)
        if self._since is not None and time.monotonic() >= self._since + self._pause:
            await self._test()
        if self._since is not None:
            self._due = self._since + self._pause
            return
        self._due = NEVER
        if self._marked:
            self._marked = False
            await self._journal.prove()

    async def _test(self) -> None:
        answer = await self._asked()
        if self._reached(self._way.reached_at):
            return  # a confirm took its time
        if answer == "refused" and self._pause < self._timing.doubt:
            self._later(self._timing.doubt)  # what says that no broker runs there gets through to us
        elif answer == "open" or await self._is_open_without_some():
            self._reached(self._let_in_at)
        else:
            self._later(min(2 * self._pause, self._timing.longest))

    async def _is_open_without_some(self) -> bool:
        """False when the broker is away, whatever is in force here."""
        suspects = await self._journal.suspect(self._actions())
        self._marked = True
        if not suspects:
            self._let_in_at = self._latest
            return True
        self._trouble.say("self-test", f"no word from the broker since {len(suspects)} effects came into force")
        search = Search(self._host, self._is_open)
        found = await search.among(suspects)
        if search.culprits:
            await self._host.condemn(search.culprits, WHY)
            await self._learn()
        await self._put_back()
        self._tell("cut-off" if search.culprits else "broker-away", len(suspects), search.culprits)
        return found

    async def _learn(self) -> None:
        """Single addresses alone: most of a network is innocent of what one address in it does."""
        targets = await self._journal.condemned(WHY, REMEMBERED)
        self._learned, self._forgets_at = (
            Allowlist.of(filter(names_host, targets), BECAUSE),
            time.monotonic() + REMEMBERED,
        )

    async def _is_open(self) -> bool:
        return await self._asked() == "open"

    async def _asked(self) -> Reach:
        began = time.monotonic()
        answer = await self._ask()
        if answer == "open" or self._way.reached_at > began:
            self._let_in_at = began
            return "open"
        return answer

    def _tell(self, verdict: Verdict, tested: int, culprits: Sequence[Name]) -> None:
        self._trouble.over("self-test")
        self._metrics.tested(verdict)
        say = log.warning if culprits else log.info
        say(
            "took back what cut this host off from its broker" if culprits else "nothing here cuts this host off",
            action="self_test",
            verdict=verdict,
            tested=tested,
            culprits=[f"{action} {key}" for action, key in culprits],
        )

    def _later(self, pause: float) -> None:
        """What is confirmed counts from now on: what set out before may have arrived while something was off."""
        self._latest = time.monotonic()
        self._wait(self._latest, pause)

    def _wait(self, since: float, pause: float) -> None:
        self._since, self._pause, self._due = since, pause, since + pause
        self._changed.set()

    def _reached(self, at: float) -> bool:
        """The way to the broker was open at that moment. True when that wasn't known."""
        before = self._since
        if before is None or at < before:
            return False
        self._since = at if at < self._latest else None
        self._pause = self._timing.proof
        return self._since != before
