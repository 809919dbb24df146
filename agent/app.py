"""The agent daemon: wired in one function, so that a test can replace a part and leave the rest as it ships."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from msgspec import Struct

from agent import folder, host
from agent.actions.action import Action
from agent.actions.nftables import Nftables
from agent.admission import Admission
from agent.control import Control
from agent.executor import Executor
from agent.heartbeat import Heartbeats, Self
from agent.inbox import Inbox
from agent.journal.journal import Journal
from agent.journal.schema import SCHEMA
from agent.metrics import AgentMetrics
from agent.trouble import Trouble
from shared import metrics, names, topology
from shared.broker import Consumer, Publisher
from shared.clock import Clock, SystemClock
from shared.errors import InvalidTarget, SettingsError, StoreError
from shared.outbox import Outbox
from shared.settings import AgentSettings, BrokerSettings, listen_address
from shared.store import Store
from shared.targets import Allowlist

TIDY = 60.0  # s
LOOK_UP = 300.0  # s between two looks at where the broker's name leads
LAST_WORDS = 2.0  # s that a stopping agent waits for the broker to take what it has said
HALF_OPEN = 40.0  # s: a link of our own that died is noticed by the broker within four of its heartbeats
PAUSE = 5.0  # s before what failed for the journal's sake is begun anew

log = structlog.get_logger()


class Parts(Struct, frozen=True, kw_only=True):
    """What the daemon is made of, as factories. A test replaces one to stop at a point; the rest stays real."""

    clock: Callable[[], Clock] = SystemClock
    actions: Callable[[], Sequence[Action]] = lambda: (Nftables(),)
    journal: Callable[[Store, str, str, Clock], Journal] = Journal
    publisher: Callable[[BrokerSettings], Publisher] = lambda settings: Publisher(
        settings, "publish", (*topology.exchanges(), *topology.manager_queues(settings.queue_type))
    )
    consumer: Callable[[BrokerSettings, topology.Queue, topology.Queue], Consumer] = (
        # the lock comes first: who doesn't get it has nothing to do with the queue
        lambda settings, lock, queue: Consumer(settings, "consume", (*topology.exchanges(), lock, queue), [queue.name])
    )


async def run(settings: AgentSettings, *, parts: Parts = Parts()) -> None:  # noqa: B008  # frozen
    """Runs the agent until SIGTERM or SIGINT; then returns, and every block stays.

    Raises ActionError when this host can't carry anything out, FolderInUse, StoreError, SettingsError.
    """
    state = Path(settings.agent.state_dir)
    with folder.owned(state):
        store = Store(state / folder.JOURNAL, SCHEMA)
        try:
            await _run(settings, parts, state, store)
        finally:
            store.close()


def agent_id(settings: AgentSettings) -> str:
    """The id in the settings, or one made of the host's name."""
    if settings.agent.id is not None:
        return names.agent_id(settings.agent.id)
    return names.agent_id_of_host(host.hostname())


async def _run(settings: AgentSettings, parts: Parts, state: Path, store: Store) -> None:
    mine, clock, boot = agent_id(settings), parts.clock(), host.boot_id()
    structlog.contextvars.bind_contextvars(agent=mine)
    figures, trouble = AgentMetrics(), Trouble()
    journal = parts.journal(store, mine, boot, clock)
    actions = {action.name: action for action in parts.actions()}
    broker_addresses = host.BrokerAddresses(settings.broker.urls)
    publisher = parts.publisher(settings.broker)
    queue = topology.agent_queue(mine, settings.agent.roles, settings.broker.queue_type)
    consumer = parts.consumer(settings.broker, topology.agent_lock(mine), queue)
    outbox = Outbox(store, publisher)
    executor = Executor(journal, actions, metrics=figures, trouble=trouble, said=outbox.wake)
    admission = Admission(
        mine,
        settings.agent.roles,
        actions,
        {},
        allow=_allow(settings),
        automatic=lambda: host.protected(broker_addresses.known()),
    )
    inbox = Inbox(
        consumer,
        queue.name,
        journal,
        admission,
        work=executor.work,
        outbox=outbox,
        metrics=figures,
        trouble=trouble,
    )
    me = Self(
        agent_id=mine,
        boot=boot,
        started_at=clock.wall(),
        hostname=host.hostname(),
        roles=settings.agent.roles,
        labels=settings.agent.labels,
        actions={name: action.backend for name, action in actions.items()},
        unsupported={},
    )
    heartbeats = Heartbeats(
        me,
        journal,
        publisher,
        consumer,
        queue.name,
        clock,
        addresses=host.own_addresses,
        metrics=figures,
        trouble=trouble,
    )
    stopping = _stop_signals()
    await executor.prepare()
    await asyncio.to_thread(broker_addresses.look_up)
    _serve_metrics(settings, figures)
    await journal.lift(lambda hold: bool(admission.protects(hold.target, exempt=hold.exempt)))
    await executor.start()
    log.info("in force again is what should be, taking orders", action="started", journal=journal.id)
    background = (
        publisher.run(),
        consumer.run(),
        inbox.run(),
        heartbeats.run(),
        Control(state, executor).run(),
        _again(outbox.run, trouble, "outbox"),
        _every(TIDY, journal.tidy, trouble),
        _every(LOOK_UP, lambda: asyncio.to_thread(broker_addresses.look_up), trouble),
        _watch_lock(consumer, mine),
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in background]
        await executor.run(stopping)
        # What is taken by now is in the journal, what the executor did is too. The rest may be said in a moment; if
        # the broker is away, the next start says it.
        with suppress(TimeoutError):
            await asyncio.wait_for(outbox.drained(), LAST_WORDS)
        for task in tasks:
            task.cancel()
    executor.close()
    log.info("stopped; every block stays in force", action="stopped")


def _allow(settings: AgentSettings) -> Allowlist:
    try:
        return Allowlist.of(settings.agent.allow, "agent.allow")
    except InvalidTarget as error:
        raise SettingsError(f"agent.allow: {error}") from error


def _stop_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _serve_metrics(settings: AgentSettings, figures: AgentMetrics) -> None:
    if not settings.metrics.listen:
        return
    address = listen_address(settings.metrics.listen, "metrics.listen")
    try:
        port = metrics.serve(figures.registry, *address)
    except OSError as error:
        raise SettingsError(
            f"metrics.listen: {settings.metrics.listen}: {error.strerror}; name another port"
        ) from error
    log.info("metrics can be read", action="metrics", address=f"http://{address[0]}:{port}/metrics")


async def _again(run: Callable[[], Awaitable[None]], trouble: Trouble, name: str) -> None:
    """Runs what a full disk ends, again and again: expiries and everything else go on meanwhile."""
    while True:
        try:
            await run()
        except StoreError as error:
            trouble.say(name, f"the {name} can't go on: {error}")
            await asyncio.sleep(PAUSE)
            trouble.over(name)


async def _every(seconds: float, work: Callable[[], Awaitable[None]], trouble: Trouble) -> None:
    while True:
        await asyncio.sleep(seconds)
        with suppress(StoreError):  # whoever has something to write says so
            await work()


async def _watch_lock(consumer: Consumer, mine: str) -> None:
    """Says it out loud when another host has this agent's id: nothing else here would ever show it."""
    while True:
        await asyncio.sleep(HALF_OPEN / 4)
        since = consumer.lock_refused_since
        if since is not None and time.monotonic() - since > HALF_OPEN:
            log.error(
                f"another host is running an agent with the id {mine}: this one takes no orders until that one stops; "
                "give one of them another agent.id",
                action="id_taken",
            )
