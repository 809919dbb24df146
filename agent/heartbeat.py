"""Heartbeats: what this agent is and holds, every 10 s, and at once when a manager has to know.

They are transient and never in the outbox: an old one says nothing.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from agent.actions.choice import Actions
from agent.actions.slow_actions import SlowActions
from agent.admission import Admission
from agent.host import own_addresses
from agent.journal.journal import Journal
from agent.metrics import AgentMetrics
from agent.trouble import Trouble
from shared import codec
from shared.broker import Consumer, Publication, Publisher
from shared.clock import Clock
from shared.errors import BrokerError, StoreError
from shared.ids import digest
from shared.messages import Heartbeat
from shared.topology import EVENTS
from shared.version import RUNNING

EVERY = 10.0  # s
REASONS = ("unsupported", "passed_over")
SHORT = 80  # characters of a reason where there are too many of them
MOST = 1_000  # characters of what troubles it, where nothing else is said
SETTLE = 3.0  # s that the first one waits for the agent's queue, so that what it brings has somewhere to go


class Self(Struct, frozen=True, kw_only=True):
    """What doesn't change while the agent runs."""

    agent_id: str
    boot: str
    started_at: float
    hostname: str
    roles: tuple[str, ...]
    labels: dict[str, str]


def fitting(said: Heartbeat) -> Heartbeat:
    """As much of it as managers take: the reasons go first. An agent that isn't heard of at all would be worse."""
    reasons = {name: {each: why[:SHORT] for each, why in getattr(said, name).items()} for name in REASONS}
    bare = replace(said, unsupported={}, passed_over={})
    trouble = "; ".join(filter(None, (said.trouble[:MOST], "it is more than can be said what it can carry out")))
    least = replace(bare, actions={}, addresses=(), trouble=trouble)
    some = (said, replace(said, **reasons), bare)
    return next((each for each in some if len(codec.encode(each)) <= codec.MAX_HEARTBEAT), least)


class Heartbeats:
    """Sends them. An agent whose id another host holds says nothing: it would be taken for that one."""

    def __init__(
        self,
        me: Self,
        journal: Journal,
        admission: Admission,
        publisher: Publisher,
        consumer: Consumer,
        queue: str,
        clock: Clock,
        *,
        drift: Callable[[], int],
        actions: Actions,
        slow: SlowActions,
        metrics: AgentMetrics,
        trouble: Trouble,
    ) -> None:
        self._me, self._journal, self._admission, self._clock = me, journal, admission, clock
        self._publisher, self._consumer, self._queue = publisher, consumer, queue
        self._actions, self._slow = actions, slow
        self._drift, self._metrics, self._trouble = drift, metrics, trouble
        self._at_once = asyncio.Event()
        self._said_new = 0  # the connection whose new queue a heartbeat has told of
        publisher.when_connected = consumer.when_connected = self._at_once.set

    async def run(self) -> None:
        """Sends until cancelled: every 10 s, and on each connection that stands anew."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._consumer.connected.wait(), SETTLE)
        while True:
            self._at_once.clear()
            await self.send()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._at_once.wait(), EVERY)

    async def send(self) -> None:
        """Sends one, if there is somebody to send it to."""
        with suppress(StoreError):  # what the metrics show is then old; the trouble is said by who writes
            await self._look()
        if self._publisher.blocked or not self._publisher.connected.is_set() or self._consumer.lock_refused_since:
            return
        connection = self._consumer.connections
        made = self._queue in self._consumer.queues_made and connection != self._said_new
        # TimeoutError: nobody confirms it, as when the queue has no leader; OSError: this host can't tell its addresses
        with suppress(BrokerError, StoreError, TimeoutError, OSError):
            said = self._publication(await self._heartbeat(made=made))
            await asyncio.wait_for(self._publisher.send(said), EVERY)
            self._said_new = connection if made else self._said_new

    async def _look(self) -> None:
        connections = {"publish": self._publisher.connections, "consume": self._consumer.connections}
        self._metrics.seen(
            effects=await self._journal.effects(),
            outlived=await self._journal.outlived(),
            unsent=await self._journal.unsent(),
            connections=connections,
        )

    async def _heartbeat(self, *, made: bool) -> Heartbeat:
        at, slow = self._clock.wall(), list(self._slow.look())
        carried = {each.name: each.backend for each in slow if not each.why_not} | self._actions.backends()
        lacking = self._actions.unsupported | {each.name: each.why_not for each in slow if each.why_not}
        return Heartbeat(
            agent_id=self._me.agent_id,
            at=at,
            started_at=self._me.started_at,
            journal=self._journal.id,
            boot=self._me.boot,
            version=RUNNING,
            hostname=self._me.hostname,
            holds=await self._journal.holds(at),
            roles=self._me.roles,
            labels=self._me.labels,
            addresses=tuple(own_addresses()),
            actions=carried,
            unsupported={name: why for name, why in lacking.items() if name not in carried},
            passed_over=dict(self._actions.passed_over),
            policy=self._admission.version,
            drift=self._drift(),
            unsent=await self._journal.unsent(),
            queue="new" if made else "kept",
            trouble=str(self._trouble),
        )

    def _publication(self, heartbeat: Heartbeat) -> Publication:
        return Publication(
            exchange=EVENTS,
            routing_key=f"heartbeat.{heartbeat.agent_id}",
            kind="heartbeat",
            message_id=digest("heartbeat", heartbeat.agent_id, heartbeat.at),
            body=codec.encode(fitting(heartbeat)),
            transient=True,
        )
