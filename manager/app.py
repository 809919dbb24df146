"""The manager daemon: what it consists of, how it starts, runs and stops. Everything is wired in `_Daemon`."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from manager import garbage
from manager.api.agents import AgentRoutes
from manager.api.allow import AllowRoutes
from manager.api.api import Api
from manager.api.blocks import BlockRoutes
from manager.api.dead_letters import DeadLetterRoutes
from manager.api.decisions import Decisions
from manager.api.events import EventRoutes
from manager.api.explain import ExplainRoutes
from manager.api.giving import Giving
from manager.api.looks import Looks
from manager.api.offenders import OffenderRoutes
from manager.api.orders import OrderRoutes
from manager.api.rules import RuleRoutes
from manager.api.server import ApiServer, bind
from manager.api.tokens import Tokens
from manager.approvals import Approvals
from manager.broadcast import Broadcast
from manager.catchup import CatchUp
from manager.chronicle import Chronicle
from manager.correlation import Correlator
from manager.dead_letters import DeadLetters
from manager.dispatch import Dispatch, Placed
from manager.foreign import Orders
from manager.gone import Gone
from manager.hearing import Events, Heartbeats
from manager.ledger import positions
from manager.ledger.ledger import Ledger
from manager.many import Many
from manager.metrics import Metrics
from manager.panic import Panic
from manager.parts import REAL, Parts
from manager.persistence import until_stored
from manager.policy import AllowPolicy
from manager.reload import Reload
from manager.removal import Removal
from manager.responses.responses import Responses
from manager.roster import Roster
from manager.senders import Senders
from manager.signs import Signs
from manager.sources.agent_logs import PREFETCH, AgentLogs
from manager.sources.correlator_thread import CorrelatorThread
from manager.startup import Loaded, api_tokens, loaded
from manager.tasks import Tasks, every, until_told_to_stop
from shared import folder, topology
from shared.broker import logins
from shared.errors import StoreError
from shared.notify import Notify
from shared.outbox import Outbox
from shared.settings import ManagerSettings
from shared.version import RUNNING

LEDGER = "ledger.db"  # in the state folder
TICK, SOON, SELDOM = 1.0, 5.0, 60.0  # s between two turns of what is done by the clock
SAID = (
    *(topology.MANAGER_EVENTS, topology.MANAGER_HEARTBEATS, topology.MANAGER_ORDERS),
    *(topology.MANAGER_DEAD, topology.MANAGER_UNROUTABLE),
)
FAREWELL = 2.0  # s to send what is unsent when the daemon stops

log = structlog.get_logger()


async def run(settings: ManagerSettings, *, parts: Parts = REAL) -> None:
    """Runs until SIGTERM or SIGINT; the broker may come and go. SIGHUP reads `ossec.conf` and the rules anew.

    Raises SettingsError, ConfigurationError, FolderInUse or StoreError before anything has begun.
    """
    state = Path(settings.manager.state_dir)
    with folder.owned(state, "manager.state_dir"):
        await _Daemon(settings, parts, state).run()


class _Daemon:
    """Everything wired, and how it begins and ends. Nothing goes out and nothing is heard before `run`."""

    def __init__(self, settings: ManagerSettings, parts: Parts, state: Path) -> None:
        first = loaded(settings.manager)
        tokens, self.bound = api_tokens(settings, state), bind(settings.api.listen)
        self.settings, self.clock, self.store = settings.manager, parts.clock(), parts.store(state / LEDGER)
        self.publisher = parts.publisher(settings.broker)
        self.said = parts.consumer(settings.broker, "events", SAID, 2_000)
        self.logged = parts.consumer(settings.broker, "logs", (topology.MANAGER_LOGS,), PREFETCH)
        self.links = {"orders": self.publisher, "events": self.said, "logs": self.logged}
        self.metrics = Metrics(settings.manager.answer_objective)
        self.broadcast = Broadcast(self.clock)
        self.chronicle = Chronicle(self.metrics, self.clock, self.broadcast)
        self.roster = Roster(self.store, self.clock)
        notify = Notify()
        self.signs = Signs(self.store, self.roster, self.links, notify)
        self.ledger = self._ledger()
        self.outbox = Outbox(self.store, self.publisher, confirmed=self.ledger.confirmed)
        self.policy = self._policy(first)
        self.dispatch = self._dispatch(first)
        self.catch_up = self._catch_up()
        self.senders = Senders(self.roster, logins(settings.broker))
        self.dead = self._dead_letters()
        self.removal = self._removal()
        self.thread = CorrelatorThread(
            Correlator(first.rules), self.store.run_now(positions.load), answered=self._responses(first).answered()
        )
        self.reload = Reload(first, partial(loaded, settings.manager), self._follow, self.metrics, self.clock, notify)
        self.panic = Panic(
            self.store, self.roster, self.clock, wake=self.outbox.wake, forget=self.thread.forget_everything
        )
        self.approvals = self._approvals()
        self.api = self._api(tokens)

    async def run(self) -> None:
        """From the first connection to the last word."""
        links = Tasks(*self._links())
        work = Tasks(*self._work())
        garbage.settle()  # else Python's collector goes through rules and code now and then, and 40 ms nothing moves
        responses = len(self.reload.loaded.configuration.responses)
        log.info("the manager runs", action="started", version=RUNNING, responses=responses)
        self.signs.started()
        try:
            await until_told_to_stop(links, work)
        finally:
            await self._stop(links, work)
            log.info("the manager has stopped", action="stopped")

    def _links(self) -> list[Coroutine[None, None, None]]:
        """What brings messages in and out; it ends last."""
        return [
            self.publisher.run(),
            self.said.run(),
            self.logged.run(),
            until_stored(self.outbox.run, "outbox"),
        ]

    def _work(self) -> list[Coroutine[None, None, None]]:
        """What acts on messages, on requests and by the clock."""
        said, dead, chronicle = self.said, self.dead, self.chronicle
        return [
            ApiServer(self.api.app(), self.bound).run(),
            AgentLogs(self.logged, self.thread, self.dispatch, dead, chronicle, self.metrics).run(),
            Events(said, self.ledger, self.catch_up, self.thread, dead, chronicle, self.broadcast, self.clock).run(),
            Heartbeats(said, self.catch_up, dead).run(),
            Orders(said, self.ledger, self.roster, self.senders, self.thread, dead, chronicle).run(),
            dead.keep(said, topology.MANAGER_DEAD),
            dead.keep(said, topology.MANAGER_UNROUTABLE),
            self.reload.run(),
            self.signs.run(),
            every(TICK, self.catch_up.tick),
            every(TICK, self.policy.end_due),
            every(SOON, self._settle),
            every(SOON, self.roster.write_behind),
            every(TICK, self._gone().sweep),
            every(SELDOM, self.ledger.forget_old),
        ]

    async def _stop(self, links: Tasks, work: Tasks) -> None:
        self.signs.stopping()
        # 1. Nothing new: requests end, deliveries that are in hand stay unacked and come again.
        self.broadcast.close()
        await work.stop()
        # 2. What is in the ledger goes out while the connection is there; what does not is sent after the next start.
        if self.publisher.connected.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.outbox.drained(), FAREWELL)
        await links.stop()
        # 3. The correlator before the store, because nothing that it finds could be written down any more.
        self.thread.close()
        with suppress(StoreError):
            await self.roster.write_behind()
        self.store.close()

    # -- what goes by ossec.conf and the rules -------------------------------------------------------------------

    async def _follow(self, anew: Loaded) -> None:
        """Puts in force what a reload has read. Everything that goes by it is exchanged here."""
        # first, because it refuses a list that agents can't be told of, and nothing has been exchanged yet
        listed = anew.configuration.allowlist
        changed = await until_stored(lambda: self.policy.configured(listed), "the allowlist")
        self.chronicle.placed(Placed(orders=changed.given, repeated=False))
        responses = self._responses(anew)
        await self.thread.follow(anew.rules, responses.answered())
        self.dispatch.follow(responses.judge)
        garbage.settle()

    def _responses(self, what: Loaded) -> Responses:
        return Responses(
            what.configuration,
            what.rules,
            allowlist=self.policy.allowlist,
            offence_memory=self.settings.offence_memory,
            issuer="manager",
        )

    # -- parts with many settings --------------------------------------------------------------------------------

    def _ledger(self) -> Ledger:
        return Ledger(
            self.store,
            self.clock,
            self.roster.living,
            answer_within=self.settings.answer_within,
            retention=self.settings.retention,
            offence_memory=self.settings.offence_memory,
        )

    def _policy(self, first: Loaded) -> AllowPolicy:
        return AllowPolicy(
            self.store,
            self.roster,
            self.clock,
            listed=first.configuration.allowlist,
            source=self.settings.ossec_conf,
            wake=self.outbox.wake,
        )

    def _dispatch(self, first: Loaded) -> Dispatch:
        return Dispatch(
            self.store,
            self.roster,
            self.clock,
            judge=self._responses(first).judge,
            allowlist=self.policy.allowlist,
            answer_within=self.settings.answer_within,
            max_alert_age=self.settings.max_alert_age,
            wake=self.outbox.wake,
        )

    def _catch_up(self) -> CatchUp:
        within, wake = self.settings.answer_within, self.outbox.wake
        return CatchUp(self.store, self.roster, self.clock, self.policy, answer_within=within, wake=wake)

    def _dead_letters(self) -> DeadLetters:
        return DeadLetters(self.publisher, self.ledger, self.senders, self.chronicle, self.metrics, self.clock)

    def _approvals(self) -> Approvals:
        return Approvals(
            self.store,
            self.roster,
            self.clock,
            allowlist=self.policy.allowlist,
            hold_for=self.settings.hold_for,
            wake=self.outbox.wake,
        )

    def _api(self, tokens: Tokens) -> Api:
        giving = Giving(self.dispatch, self.roster, self.chronicle, manual_timeout=self.settings.manual_timeout)
        nouns = (
            self._block_routes(giving),
            OrderRoutes(giving, self.ledger),
            Decisions(self.approvals, self.panic, self.chronicle),
            AllowRoutes(self.policy, self.roster, self.chronicle),
            AgentRoutes(self.roster, self.policy, self.removal, self.chronicle),
            OffenderRoutes(self.ledger, self.thread.forget),
            DeadLetterRoutes(self.ledger),
            EventRoutes(self.broadcast),
            ExplainRoutes(self.reload, lambda what: self._responses(what).judge, self.roster, self.clock),
            RuleRoutes(self.reload, self.panic, self.roster),
        )
        return Api(tokens, self._looks(), self.signs, [route for noun in nouns for route in noun.routes()])

    def _block_routes(self, giving: Giving) -> BlockRoutes:
        return BlockRoutes(
            self.dispatch,
            giving,
            self.ledger,
            self.roster,
            self.policy,
            Many(self.store, self.roster, self.clock, allowlist=self.policy.allowlist, wake=self.outbox.wake),
            self.chronicle,
            forget=self.thread.forget,
        )

    def _removal(self) -> Removal:
        async def drop_queue(agent_id: str) -> None:
            queue, lock = topology.agent_queue_name(agent_id), topology.agent_lock(agent_id)
            await self.publisher.remove_queue(queue, lock)

        return Removal(self.store, self.roster, self.catch_up, drop_queue)

    def _gone(self) -> Gone:
        def connection() -> int:
            links = (self.publisher, self.said)
            return sum(each.connections for each in links) if all(each.connected.is_set() for each in links) else 0

        return Gone(
            self.roster,
            self.removal,
            self.chronicle,
            self.clock,
            after=self.settings.gone_after,
            retention=self.settings.retention,
            connection=connection,
        )

    def _looks(self) -> Looks:
        return Looks(
            self.store, self.ledger, self.roster, self.metrics, self.panic, self.reload, self.publisher, self.links
        )

    async def _settle(self) -> None:
        self.chronicle.lapsed(await self.ledger.settle_due())
        more = True
        while more:
            lapsed = await self.approvals.lapse()
            self.chronicle.turned_down(lapsed, "")
            more = lapsed.more
