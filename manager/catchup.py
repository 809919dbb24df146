"""Catch-up: sends an agent what it should hold and doesn't, under the same ids, to `agent.<id>`.

Harmless to repeat, and still rate-limited: an agent that stays wrong is sent to less and less often.
"""

from collections.abc import Callable, Sequence

import structlog
from msgspec import Struct
from msgspec.structs import replace

from manager.ledger import agents, orders, owed, pause
from manager.ledger.answers import Recorded
from manager.ledger.orders import UNTIL_LIFTED
from manager.ledger.owed import Held
from manager.policy import AllowPolicy
from manager.roster import Heard, Roster
from shared import codec, outbox
from shared.broker import Publication
from shared.clock import Clock
from shared.messages import Heartbeat, Holds, Order
from shared.store import Connection, Store

AT_MOST_EVERY = 1.0  # s between two catch-ups of one agent, whatever it says
ENOUGH = 2_000  # orders in one transaction, the last agent's aside: who decides something waits for the writer
ENTRIES = 100  # of the allowlist that cost as much as an order: ten thousand in a message are 1.6 ms and 220 kB
QUESTION_LASTS = 60.0  # s in a queue
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0  # s; doubled as long as an agent stays wrong

log = structlog.get_logger()


class CatchUp:
    """Hears heartbeats, and sees to it that each agent has what is in force for it, and the allowlist as it is.

    `wake` is called when there is something to send; `answer_within` is in seconds.
    """

    def __init__(
        self,
        store: Store,
        roster: Roster,
        clock: Clock,
        policy: AllowPolicy,
        *,
        answer_within: float,
        wake: Callable[[], None],
    ) -> None:
        self._store, self._roster, self._clock, self._wake = store, roster, clock, wake
        self._policy, self._answer_within = policy, answer_within
        self._unwritten: dict[str, Heard] = {}  # new agents, and changes in known ones, until the ledger has them
        self._lacking: set[str] = set()  # to be sent everything as soon as the rate allows
        self._agreed: dict[str, _Agreed] = {}
        self._stirred: set[str] = set()  # who was heard of since a comparison of its fingerprint began
        self._differed: set[str] = set()  # whose fingerprint was wrong the last time
        self._put_off: set[str] = set()  # who was sent lifts alone, because of a pause
        self._otherwise: set[str] = set()  # whose allowlist was another one the last time
        self._untold: set[str] = set()  # to be told the allowlist as soon as the rate allows
        self._ahead = 0  # the latest version of it that an agent showed twice running
        self._brought = _Pace(AT_MOST_EVERY, AT_MOST_EVERY)
        self._corrected = _Pace(FIRST_PAUSE, LONGEST_PAUSE)
        self._reminded = _Pace(FIRST_PAUSE, LONGEST_PAUSE)
        self._told = _Pace(FIRST_PAUSE, LONGEST_PAUSE)
        self._outdone = _Pace(LONGEST_PAUSE, LONGEST_PAUSE)  # one for all: two managers would outdo each other

    async def heard(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Takes heartbeats into the roster and sends what they show to be missing. Raises StoreError; safe twice."""
        doubtful = []
        for each in self._roster.heard(heartbeats):
            self._compare_policy(each.agent.heartbeat)
            if each.matters:
                self._unwritten[each.agent.id] = each
            if each.matters or each.queue_made:
                self._lacking.add(each.agent.id)
            elif not self._agrees(each.agent.heartbeat):
                doubtful.append(each.agent.heartbeat)
        await self._outdo()
        await self._go(doubtful, [])

    async def tick(self) -> None:
        """Sends again what living agents left unanswered, or have not said the end of, and what was put off.

        Every second or so.
        """
        now = self._clock.boot()
        await self._go([], [agent_id for agent_id in self._roster.living() if self._reminded.allows(agent_id, now)])

    def recorded(self, recorded: Recorded) -> None:
        """Hears of answers and ends: what these agents hold is to be compared anew."""
        for event in recorded.settling:
            self._agreed.pop(event.agent_id, None)
            self._stirred.add(event.agent_id)

    def forget(self, agent_id: str) -> None:
        """The agent was removed, or is gone: whoever comes under that name is somebody new."""
        for some in (self._lacking, self._stirred, self._differed, self._put_off, self._otherwise, self._untold):
            some.discard(agent_id)
        self._unwritten.pop(agent_id, None)
        self._agreed.pop(agent_id, None)
        for pace in (self._brought, self._corrected, self._reminded, self._told):
            pace.clear(agent_id)

    def _compare_policy(self, heartbeat: Heartbeat) -> None:
        """Twice running, because a change may be on its way."""
        agent_id = heartbeat.agent_id
        if heartbeat.policy == self._policy.version:
            self._otherwise.discard(agent_id)
            self._untold.discard(agent_id)
            self._told.clear(agent_id)
        elif agent_id in self._otherwise:
            self._untold.add(agent_id)
            self._ahead = max(self._ahead, heartbeat.policy)
        else:
            self._otherwise.add(agent_id)

    async def _outdo(self) -> None:
        """Agents that follow a later list than the ledger knows of take nothing from it: it was put back to a copy."""
        boot = self._clock.boot()
        if self._ahead > self._policy.version and self._outdone.allows("", boot):
            self._outdone.used("", boot)
            await self._policy.outdo(self._ahead)

    def _agrees(self, heartbeat: Heartbeat) -> bool:
        agreed = self._agreed.get(heartbeat.agent_id)
        return agreed is not None and agreed.holds == heartbeat.holds and heartbeat.at < agreed.until

    async def _go(self, doubtful: Sequence[Heartbeat], living: Sequence[str]) -> None:
        """Looks at what is to be compared and what may be unanswered; one transaction over all that is missing."""
        boot, now = self._clock.boot(), self._clock.wall()
        seen = await self._look(doubtful, living, now)
        wrong = self._compare(doubtful, seen.held, boot)
        for agent_id in set(living) - seen.late:
            self._reminded.clear(agent_id)
        lacking = frozenset(each for each in self._lacking if self._brought.allows(each, boot)) | wrong
        turn = _Turn(
            fresh=tuple(self._unwritten.values()),
            lacking={each.id: each.heartbeat.journal for each in map(self._roster.get, lacking) if each},
            late=seen.late,
            untold=frozenset(each for each in self._untold if self._told.allows(each, boot)),
            policy=self._policy,
            left_since=now - self._answer_within,
            now=now,
        )
        if turn.fresh or turn.lacking or turn.late or turn.untold or self._put_off:
            found = await self._store.run(turn.run)
            self._learn(turn, found, boot)
            for agent_id in wrong & found.sent.keys():
                self._differed.discard(agent_id)
                self._corrected.used(agent_id, boot)

    async def _look(self, doubtful: Sequence[Heartbeat], living: Sequence[str], now: float) -> "_Seen":
        """What is known of these agents. Beside the writer: ten thousand blocks of one are ten milliseconds' work."""
        self._stirred -= {each.agent_id for each in doubtful}
        look = _Look(doubtful=tuple(doubtful), living=tuple(living), left_since=now - self._answer_within, now=now)
        return await self._store.read(look.run) if doubtful or living else _Seen(held={}, late=frozenset())

    def _learn(self, turn: "_Turn", found: "_Found", boot: float) -> None:
        for each in turn.fresh:
            if self._unwritten.get(each.agent.id) is each:
                del self._unwritten[each.agent.id]
        for agent_id in turn.lacking.keys() & found.sent.keys():
            self._lacking.discard(agent_id)
            self._brought.used(agent_id, boot)
        self._mind_pause(found)
        for agent_id in found.told:
            self._untold.discard(agent_id)
            self._told.used(agent_id, boot)
        for agent_id in turn.late & found.sent.keys():
            self._reminded.used(agent_id, boot)
        if lacked := {agent_id: count for agent_id, count in found.sent.items() if count}:
            log.info("sent again what agents lack", action="caught_up", agents=lacked)
        if lacked or found.told:
            self._wake()

    def _mind_pause(self, found: "_Found") -> None:
        """Who is sent lifts alone during a pause gets everything once it is over."""
        if found.paused:
            self._put_off |= found.sent.keys()
            return
        self._lacking |= self._put_off
        for agent_id in self._put_off:
            self._reminded.clear(agent_id)
            self._corrected.clear(agent_id)
        self._put_off.clear()

    def _compare(self, doubtful: Sequence[Heartbeat], held: dict[str, Held], boot: float) -> frozenset[str]:
        """Who is to be corrected: wrong this time too, and not corrected lately."""
        wrong = set()
        for heartbeat in doubtful:
            agent_id = heartbeat.agent_id
            if held[agent_id].holds == heartbeat.holds:
                if agent_id not in self._stirred:
                    self._agreed[agent_id] = _Agreed(holds=heartbeat.holds, until=held[agent_id].until)
                self._differed.discard(agent_id)
                self._corrected.clear(agent_id)
            elif agent_id in self._differed and self._corrected.allows(agent_id, boot):
                wrong.add(agent_id)
            else:
                self._differed.add(agent_id)
        return frozenset(wrong)


class _Agreed(Struct, frozen=True, kw_only=True):
    """A fingerprint that was right, and until when it stays so if nothing happens (the agent's clock)."""

    holds: Holds
    until: float


class _Seen(Struct, frozen=True, kw_only=True):
    """What the ledger says of some agents."""

    held: dict[str, Held]
    late: frozenset[str]  # who left something unanswered, or has not told its end


class _Look(Struct, frozen=True, kw_only=True):
    """What is only looked at."""

    doubtful: tuple[Heartbeat, ...]
    living: tuple[str, ...]
    left_since: float
    now: float

    def run(self, connection: Connection) -> _Seen:
        """Counts what the doubtful hold, and finds out who of the living is late."""
        held = {each.agent_id: owed.held(connection, each.agent_id, each.at) for each in self.doubtful}
        return _Seen(held=held, late=frozenset(each for each in self.living if self._is_late(connection, each)))

    def _is_late(self, connection: Connection, agent_id: str) -> bool:
        return owed.leaves_unanswered(connection, agent_id, self.left_since, self.now) or owed.leaves_unended(
            connection, agent_id, self.left_since
        )


class _Found(Struct, frozen=True, kw_only=True):
    """What a turn did."""

    sent: dict[str, int]  # messages, by agent; who is not in it waits for another turn
    told: frozenset[str]  # who was sent the allowlist
    paused: bool  # nothing but lifts was sent


class _Turn(Struct, frozen=True, kw_only=True):
    """What one transaction has to look at. Runs in the store's thread, where the policy changes too."""

    fresh: tuple[Heard, ...]
    lacking: dict[str, str]  # with the journal that lacks
    late: frozenset[str]
    untold: frozenset[str]
    policy: AllowPolicy
    left_since: float
    now: float

    def run(self, connection: Connection) -> _Found:
        """Writes down who is new, and puts what is missing into the outbox."""
        for each in self.fresh:
            agents.put(connection, [each.agent])
            orders.join(connection, each.agent.id, each.agent.heartbeat.roles, self.now)
        paused = pause.find(connection) is not None
        sent: dict[str, int] = {}
        told: set[str] = set()
        telling = len(self.policy.allowlist()) // ENTRIES
        for agent_id in (*self.lacking, *(self.late - self.lacking.keys())):
            if sum(sent.values()) + len(told) * telling >= ENOUGH:
                break
            if agent_id in self.lacking:
                lacked = owed.in_force(connection, agent_id, self.now)
            else:
                lacked = owed.unanswered(connection, agent_id, self.now)
                lacked += owed.unended(connection, agent_id, self.left_since)
            some = [order for order in lacked if order.operation == "delete"] if paused else lacked
            sent[agent_id] = self._send(connection, agent_id, some)
            if agent_id in self.lacking:  # then this was all, and the allowlist behind it says so
                self._tell(connection, agent_id, caught_up="" if paused else self.lacking[agent_id])
                told.add(agent_id)
        for agent_id in self.untold - told:
            if sum(sent.values()) + len(told) * telling >= ENOUGH:
                break
            self._tell(connection, agent_id)
            told.add(agent_id)
        return _Found(sent=sent, told=frozenset(told), paused=paused)

    def _tell(self, connection: Connection, agent_id: str, caught_up: str = "") -> None:
        outbox.put(connection, [self.policy.publication(f"agent.{agent_id}", caught_up=caught_up)])

    def _send(self, connection: Connection, agent_id: str, some: Sequence[Order]) -> int:
        again = [owed.sent_again(connection, agent_id, order, UNTIL_LIFTED, self.now) for order in some]
        key = f"agent.{agent_id}"
        outbox.put(connection, (self._publication(order, key) for order in again))
        return len(again)

    def _publication(self, order: Order, key: str) -> Publication:
        made = orders.publication(order, key, codec.encode(order))
        # what is over is sent to be told how it ended, and must not be dropped for coming late
        return made if order.deadline > self.now else replace(made, expires_at=self.now + QUESTION_LASTS)


class _Pace:
    """How often something may be done for one agent: a pause that doubles until it is cleared. Boot-clock seconds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next: dict[str, tuple[float, float]] = {}  # not before; the pause after that

    def allows(self, agent_id: str, now: float) -> bool:
        return agent_id not in self._next or now >= self._next[agent_id][0]

    def used(self, agent_id: str, now: float) -> None:
        _, pause = self._next.get(agent_id, (now, self._first))
        self._next[agent_id] = (now + pause, min(2 * pause, self._longest))

    def clear(self, agent_id: str) -> None:
        self._next.pop(agent_id, None)
