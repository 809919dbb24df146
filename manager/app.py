"""The manager daemon: what it consists of, how it starts, runs and stops. Everything is wired in `run`."""

import asyncio
import gc
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import structlog
from msgspec import Struct

from manager.api.api import Api, Looks
from manager.api.bodies import Health
from manager.api.server import ApiServer, bind
from manager.catchup import CatchUp
from manager.chronicle import Chronicle
from manager.correlation import Correlator, load, shipped
from manager.dead_letters import DeadLetters
from manager.dispatch import Dispatch
from manager.hearing import Events, Heartbeats
from manager.ledger import schema
from manager.ledger.ledger import Ledger
from manager.metrics import Metrics
from manager.persistence import until_stored
from manager.responses.configuration import Configuration
from manager.responses.responses import Responses
from manager.roster import Roster
from manager.sources.agent_logs import PREFETCH, AgentLogs
from manager.sources.correlator_thread import CorrelatorThread
from manager.startup import api_tokens, responses_in
from manager.tasks import Tasks, every, until_told_to_stop
from shared import folder, topology
from shared.broker import Consumer, Publisher
from shared.clock import Clock, SystemClock
from shared.errors import StoreError
from shared.outbox import Outbox, unsent
from shared.settings import BrokerSettings, ManagerSettings, RespondSettings
from shared.store import Store

LEDGER = "ledger.db"  # in the state folder
TICK, SOON, SELDOM = 1.0, 5.0, 60.0  # s between two turns of what is done by the clock
SAID = (topology.MANAGER_EVENTS, topology.MANAGER_HEARTBEATS, topology.MANAGER_DEAD, topology.MANAGER_UNROUTABLE)
FAREWELL = 2.0  # s to send what is unsent when the daemon stops

log = structlog.get_logger()


def _store(path: Path) -> Store:
    return Store(path, schema.SCHEMA)


def _publisher(settings: BrokerSettings) -> Publisher:
    return Publisher(settings, "orders", _topology(settings))


def _consumer(settings: BrokerSettings, name: str, queues: Sequence[str], prefetch: int) -> Consumer:
    return Consumer(settings, name, _topology(settings), queues, prefetch=prefetch)


class Parts(Struct, frozen=True, kw_only=True):
    """What the daemon is made of. A test hands in one that stops where it wants to look."""

    clock: Callable[[], Clock] = SystemClock
    store: Callable[[Path], Store] = _store
    publisher: Callable[[BrokerSettings], Publisher] = _publisher
    consumer: Callable[[BrokerSettings, str, Sequence[str], int], Consumer] = _consumer


REAL = Parts()


async def run(settings: ManagerSettings, *, parts: Parts = REAL) -> None:
    """Runs until SIGTERM or SIGINT; the broker may come and go.

    Raises SettingsError, ConfigurationError, FolderInUse or StoreError before anything has begun.
    """
    state = Path(settings.manager.state_dir)
    with folder.owned(state, "manager.state_dir"):
        await _run(settings, parts, state)


async def _run(settings: ManagerSettings, parts: Parts, state: Path) -> None:
    rules = load([shipped(), *map(Path, settings.manager.rules)])
    configured = responses_in(settings.manager, rules)
    known = api_tokens(settings, state)
    bound = bind(settings.api.listen)
    clock, store = parts.clock(), parts.store(state / LEDGER)

    roster = Roster(store, clock)
    ledger = _ledger(settings.manager, store, clock, roster)
    publisher = parts.publisher(settings.broker)
    said = parts.consumer(settings.broker, "events", SAID, 2_000)
    logged = parts.consumer(settings.broker, "logs", (topology.MANAGER_LOGS,), PREFETCH)
    outbox = Outbox(store, publisher, confirmed=ledger.confirmed, returned=ledger.returned)
    responses = Responses(configured, rules, offence_memory=settings.manager.offence_memory, issuer="manager")
    dispatch = _dispatch(settings.manager, store, clock, roster, responses, configured, outbox)
    catch_up = CatchUp(store, roster, clock, answer_within=settings.manager.answer_within, wake=outbox.wake)
    metrics = Metrics()
    chronicle = Chronicle(metrics, clock)
    dead = DeadLetters(publisher, metrics, clock)
    thread = CorrelatorThread(Correlator(rules), await ledger.positions())
    looks = _looks(store, roster, metrics, publisher, {"orders": publisher, "events": said, "logs": logged})
    manual = settings.manager.manual_timeout
    api = Api(dispatch, ledger, roster, chronicle, known, looks, forget=thread.forget, manual_timeout=manual)

    links = Tasks(publisher.run(), said.run(), logged.run(), until_stored(outbox.run, "outbox"))
    work = Tasks(
        ApiServer(api.app(), bound).run(),
        AgentLogs(logged, thread, dispatch, dead, chronicle, metrics).run(),
        Events(said, ledger, catch_up, thread, dead, chronicle, clock).run(),
        Heartbeats(said, catch_up, dead).run(),
        dead.keep(said, topology.MANAGER_DEAD),
        dead.keep(said, topology.MANAGER_UNROUTABLE),
        every(TICK, catch_up.tick),
        every(SOON, lambda: _settle(ledger, chronicle)),
        every(SOON, roster.write_behind),
        every(SELDOM, ledger.forget_old),
    )
    gc.collect()
    gc.freeze()  # rules and code stay; else Python's collector goes through them now and then, and 40 ms nothing moves
    log.info("the manager runs", action="started", version=version("thwart"), responses=len(configured.responses))
    try:
        await until_told_to_stop(links, work)
    finally:
        # 1. Nothing new: requests end, deliveries that are in hand stay unacked and come again.
        await work.stop()
        # 2. What is in the ledger goes out while the connection is there; what does not is sent after the next start.
        if publisher.connected.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(outbox.drained(), FAREWELL)
        await links.stop()
        # 3. The correlator before the store, because nothing that it finds could be written down any more.
        thread.close()
        with suppress(StoreError):
            await roster.write_behind()
        store.close()
        log.info("the manager has stopped", action="stopped")


def _ledger(settings: RespondSettings, store: Store, clock: Clock, roster: Roster) -> Ledger:
    return Ledger(
        store,
        clock,
        roster.living,
        answer_within=settings.answer_within,
        retention=settings.retention,
        offence_memory=settings.offence_memory,
    )


def _dispatch(
    settings: RespondSettings,
    store: Store,
    clock: Clock,
    roster: Roster,
    responses: Responses,
    configured: Configuration,
    outbox: Outbox,
) -> Dispatch:
    return Dispatch(
        store,
        roster,
        clock,
        judge=responses.judge,
        allowlist=configured.allowlist,
        answer_within=settings.answer_within,
        max_alert_age=settings.max_alert_age,
        wake=outbox.wake,
    )


async def _settle(ledger: Ledger, chronicle: Chronicle) -> None:
    chronicle.lapsed(await ledger.settle_due())


def _looks(
    store: Store, roster: Roster, metrics: Metrics, publisher: Publisher, links: dict[str, Publisher | Consumer]
) -> Looks:
    async def health() -> Health:
        up = publisher.connected.is_set()
        return Health(version=version("thwart"), broker="connected" if up else "away", unsent=await store.read(unsent))

    async def text() -> bytes:
        lives = [roster.life(agent) for agent in roster.agents()]
        metrics.refresh(await store.read(unsent), lives, {name: link.connections for name, link in links.items()})
        return metrics.exposition()

    return Looks(health=health, metrics=text)


def _topology(settings: BrokerSettings) -> tuple[topology.Exchange | topology.Queue, ...]:
    """Every link declares all of it, so that no queue is missing when the first message goes out."""
    return (*topology.exchanges(), *topology.manager_queues(settings.queue_type))
