"""The agent daemon: wired in one function, so that a test can replace a part and leave the rest as it ships."""

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from pathlib import Path

import structlog
from msgspec import Struct

from agent import collector, folder, host, identity
from agent.actions import custom
from agent.actions.choice import Actions
from agent.actions.scripts.scripts import Scripts
from agent.actions.slow_actions import SlowActions, built_in, webhook
from agent.admission import Admission
from agent.backends import LOOK, Backends
from agent.control import Control
from agent.ends import Ends
from agent.executor import Executor
from agent.heartbeat import Heartbeats, Self
from agent.inbox import Inbox
from agent.journal.journal import Journal
from agent.journal.schema import SCHEMA
from agent.metrics import AgentMetrics
from agent.safeguard import Safeguard
from agent.self_test import SelfTest, Timing
from agent.sidecar import Sidecar
from agent.signs import Signs
from agent.tasks import again, every, watch_lock
from agent.trials import Trials
from agent.trouble import Trouble
from shared import topology
from shared.broker import Consumer, Publisher, logins, reach
from shared.clock import Clock, SystemClock
from shared.errors import InvalidTarget, LeftBehind, SettingsError, StoreDamaged, StoreError
from shared.notify import Notify
from shared.outbox import Outbox
from shared.settings import ActionsSettings, AgentSettings, BrokerSettings, listen_address
from shared.store import Store
from shared.targets import Allowlist

TIDY = 60.0  # s
PATIENCE = 2.0  # s that a start waits for the resolver
SCRIPTS_END = 10.0  # s that a stopping agent waits for the scripts that it has started
LAST_WORDS = 2.0  # s that a stopping agent waits for the broker to take what it has said

log = structlog.get_logger()


class Parts(Struct, frozen=True, kw_only=True):
    """What the daemon is made of, as factories. A test replaces one to stop at a point; the rest stays real."""

    clock: Callable[[], Clock] = SystemClock
    actions: Callable[[ActionsSettings], Actions] = Actions
    journal: Callable[[Store, str, str, Clock], Journal] = Journal
    publisher: Callable[[BrokerSettings], Publisher] = lambda settings: Publisher(
        settings, "publish", (*topology.exchanges(), *topology.manager_queues(settings.queue_type))
    )
    consumer: Callable[[BrokerSettings, topology.Queue, topology.Queue], Consumer] = (
        # the lock comes first: who doesn't get it has nothing to do with the queue
        lambda settings, lock, queue: Consumer(settings, "consume", (*topology.exchanges(), lock, queue), [queue.name])
    )
    self_test: Timing = Timing()


REAL = Parts()


async def run(settings: AgentSettings, *, parts: Parts = REAL) -> None:
    """Runs the agent until SIGTERM or SIGINT; then returns, and every block stays unless `on_stop` says otherwise.

    Raises FolderInUse, StoreError, SettingsError; LeftBehind when only a new start is of use, which puts what should be
    in force into the namespace where it is then. A host that can carry nothing out says so, and is there all the same.
    """
    state = Path(settings.agent.state_dir)
    with folder.owned(state):
        ended_by = await _until_ended(settings, parts, state)
        if isinstance(ended_by, StoreDamaged):
            aside = folder.set_aside(ended_by)
            raise StoreDamaged(
                f"{ended_by}; it is {aside} now, start the agent again to go on with a new one", path=aside
            )
        if ended_by is not None:
            raise ended_by


async def _until_ended(settings: AgentSettings, parts: Parts, state: Path) -> StoreDamaged | LeftBehind | None:
    """Runs, and tells what ended it if that was one of these; nobody has the journal open then."""
    ended_by: list[StoreDamaged | LeftBehind] = []
    try:
        with closing(folder.opened(state / folder.JOURNAL, SCHEMA)) as store:
            await _Daemon(settings, parts, state, store).run()
    except* (StoreDamaged, LeftBehind) as errors:
        ended_by += _leaves(errors)
    return ended_by[0] if ended_by else None


def _leaves(group: BaseExceptionGroup[StoreDamaged | LeftBehind]) -> list[StoreDamaged | LeftBehind]:
    return [
        leaf
        for each in group.exceptions
        for leaf in (_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])
    ]


def checked(settings: AgentSettings) -> list[str]:
    """What is odd about the settings, without a start. Raises SettingsError for what is wrong with them."""
    identity.known(settings)
    allowed(settings)
    logins(settings.broker)
    if settings.metrics.listen:
        listen_address(settings.metrics.listen, "metrics.listen")
    absent = [each.path for each in settings.agent.logs if each.path and not Path(each.path).exists()]
    logs = [f"agent.logs: {path} isn't there; it is followed once it is" for path in absent]
    return logs + [f"actions.own.{odd}" for odd in custom.odd(settings.actions.own)]


class _Daemon:
    """Everything wired, and how it begins and ends."""

    def __init__(self, settings: AgentSettings, parts: Parts, state: Path, store: Store) -> None:
        broker, mine, clock, boot = settings.broker, identity.settled(settings), parts.clock(), host.boot_id()
        structlog.contextvars.bind_contextvars(agent=mine)
        self.settings, self.id, self.clock, self.state = settings, mine, clock, state
        self.metrics, self.trouble = AgentMetrics(), Trouble()
        self.sidecar = Sidecar(self.trouble)  # early: the network may be lost while the rest begins
        self.queue = topology.agent_queue(mine, settings.agent.roles, broker.queue_type)
        self.publisher = parts.publisher(broker)
        self.consumer = parts.consumer(broker, topology.agent_lock(mine), self.queue)
        self.broker_addresses = host.BrokerAddresses(broker.urls)
        self.journal = parts.journal(store, mine, boot, clock)
        self.outbox = Outbox(store, self.publisher)
        self.actions = parts.actions(settings.actions)
        self.webhook = webhook(settings.actions)
        self.slow = SlowActions(built_in(settings.actions, self.webhook, mine), Scripts(settings.agent, mine))
        self.executor = self._executor()
        self.backends = Backends(self.actions, self.executor, self.journal, self.trouble)
        self.self_test = self._self_test(parts.self_test)
        self.executor.when_applied = self.self_test.applied
        self.ends = Ends(self.webhook, mine, self.trouble)
        if settings.actions.webhook_ends:
            self.executor.when_settled = self.ends.heard
        self.admission = self._admission()
        self.trials = Trials(self.executor, self.journal, self.actions, self.slow, self.admission)
        self.safeguard = self._safeguard()
        self.signs = Signs(mine, store, self.consumer, self.metrics, self.trouble, Notify())
        self.me = self._self(boot)

    async def run(self) -> None:
        """From the first revert that is due to the last word."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.executor.stop)
        signs = asyncio.create_task(self.signs.run())
        try:
            await self._live()
        finally:
            signs.cancel()
            (self.state / folder.HEALTH).unlink(missing_ok=True)  # nobody answers there, and a copy trips over it

    async def _live(self) -> None:
        await self._begin()
        async with asyncio.TaskGroup() as group:
            inbox = group.create_task(self._inbox().run())
            tasks = [group.create_task(each) for each in self._background()]
            errands = group.create_task(self.executor.errands.run())
            await self.executor.run()
            self.signs.stopping()
            inbox.cancel()  # what the broker still has, it keeps
            await asyncio.wait([inbox])
            await self._leave()
            self.executor.errands.stop()
            await asyncio.wait([errands])
            await self.executor.errands.end(SCRIPTS_END)
            # What was taken is in the journal, and so is what was done. What is still to be said is said now; if the
            # broker is away, after the next start.
            with suppress(TimeoutError, StoreError):
                if await self.journal.unsent():
                    await asyncio.wait_for(self.outbox.drained(), LAST_WORDS)
            for task in tasks:
                task.cancel()
        self.executor.close()

    async def _leave(self) -> None:
        """What becomes of the blocks that are in force."""
        if self.settings.agent.on_stop == "keep":
            log.info("stopping; every block stays in force", action="stopped")
            return
        try:
            lifted = await self.executor.lift(lambda hold: True)
        except StoreError as error:
            log.error("stopping; not every block could be lifted", action="stopped", problem=str(error))
            return
        for (_, target), problem in lifted.problems.items():
            log.error("could not be ended", action="stopped", target=target, problem=problem)
        what = "every block was lifted" if not lifted.problems else "what could be lifted was"
        log.info(f"stopping; {what}, as on_stop says", action="stopped", orders=len(lifted.orders))

    async def _begin(self) -> None:
        """Before the first order: reverts that are due, then what should be in force."""
        for path in folder.aside(self.state):
            self.trouble.say(path.name, f"{path} was damaged and is set aside; remove it once you have looked at it")
        self.signs.open(self.state, self.settings.metrics)
        await self.backends.choose()
        with suppress(TimeoutError):  # a resolver that is away holds up no revert; without a broker no order comes
            await asyncio.wait_for(asyncio.to_thread(self.broker_addresses.look_up), PATIENCE)
        if killed := await asyncio.to_thread(self.slow.kill_left_over):
            log.warning("killed what an earlier run had started", action="left_over", count=killed)
        self.admission.follow(await self.journal.ruling())
        await self.safeguard.let_go()
        await self.executor.start()
        await self.backends.leave_former()
        gc.collect()
        gc.freeze()  # what is there now stays, and no order has to wait until the collector has gone through it
        log.info("what should be in force is; taking orders", action="started", journal=self.journal.id)
        self.signs.started()

    def _background(self) -> list[Coroutine[None, None, None]]:
        return [
            self.publisher.run(),
            self.consumer.run(),
            self._heartbeats().run(),
            Control(self.state, self.executor, self.trials).run(),
            again(self.outbox.run, self.trouble, "outbox"),
            again(self.self_test.run, self.trouble, "self-test"),
            again(self._collect, self.trouble, "collector"),
            every(TIDY, self.journal.tidy),
            every(LOOK, self.backends.look),
            self.safeguard.run(),
            self.sidecar.run(),
            self.ends.run(),
            watch_lock(self.consumer, self.id, self.metrics),
        ]

    # -- parts with many settings --------------------------------------------------------------------------------

    def _executor(self) -> Executor:
        return Executor(
            self.journal,
            self.actions.own,
            metrics=self.metrics,
            trouble=self.trouble,
            unsupported=self.actions.unsupported,
            said=self.outbox.wake,
            slow=self.slow,
            workers=self.settings.agent.script_workers,
        )

    def _self_test(self, timing: Timing) -> SelfTest:
        return SelfTest(
            self.executor,
            self.journal,
            self.publisher,
            lambda: reach(self.settings.broker, timing.probe),
            self.actions.cutting,
            metrics=self.metrics,
            trouble=self.trouble,
            timing=timing,
        )

    def _admission(self) -> Admission:
        return Admission(
            self.id,
            self.settings.agent.roles,
            self.actions.by_name,
            aliases=self.actions.aliases,
            unsupported=self.actions.unsupported,
            allow=allowed(self.settings),
            automatic=self._automatic,
            slow=self.slow,
        )

    def _safeguard(self) -> Safeguard:
        return Safeguard(
            self.journal,
            self.admission,
            self.broker_addresses,
            automatic=self._automatic,
            work=self.executor.work,
            trouble=self.trouble,
        )

    def _self(self, boot: str) -> Self:
        return Self(
            agent_id=self.id,
            boot=boot,
            started_at=self.clock.wall(),
            hostname=host.hostname(),
            roles=self.settings.agent.roles,
            labels=self.settings.agent.labels,
        )

    def _inbox(self) -> Inbox:
        return Inbox(
            self.consumer,
            self.queue.name,
            self.journal,
            self.admission,
            work=self.executor.work,
            outbox=self.outbox,
            metrics=self.metrics,
            trouble=self.trouble,
        )

    def _heartbeats(self) -> Heartbeats:
        return Heartbeats(
            self.me,
            self.journal,
            self.admission,
            self.publisher,
            self.consumer,
            self.queue.name,
            self.clock,
            drift=lambda: self.executor.drift,
            actions=self.actions,
            slow=self.slow,
            metrics=self.metrics,
            trouble=self.trouble,
        )

    def _automatic(self) -> Allowlist:
        return host.protected(self.broker_addresses.known()) | self.self_test.learned()

    async def _collect(self) -> None:
        """Follows the logs that this agent is to follow. Their positions have a file of their own: they move often."""
        files = self.settings.agent.logs
        if files:
            with closing(folder.opened(self.state / folder.COLLECTOR, collector.SCHEMA)) as store:
                await collector.Collector(files, self.id, store, self.publisher, self.clock).run()


def allowed(settings: AgentSettings) -> Allowlist:
    """Whom the host's own settings protect. Raises SettingsError."""
    try:
        return Allowlist.of(settings.agent.allow, "agent.allow")
    except InvalidTarget as error:
        raise SettingsError(f"agent.allow: {error}") from error
