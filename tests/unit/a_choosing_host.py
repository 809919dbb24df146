"""An agent on a host with several backends, which come and go: wired as the daemon is, with a clock moved by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path

from agent.actions.action import Action
from agent.actions.catalogue import Candidate
from agent.actions.choice import Actions
from agent.admission import Admission
from agent.backends import Backends
from agent.executor import Executor
from agent.journal.schema import SCHEMA
from agent.journal.taking import Incoming
from agent.metrics import AgentMetrics
from shared.messages import Order
from shared.settings import ActionsSettings
from shared.store import Store
from shared.targets import Allowlist
from tests.unit.a_host import AGENT, AHost, HostClock, KilledJournal


class AChoosingHost(AHost):
    """`firewalls` are its backends of firewall-drop, in the order in which they are tried. The one whose backend is
    `alias` carries out `pf` too. `settings` and `alias` count from the next start on.
    """

    def __init__(self, folder: Path, firewalls: Callable[[HostClock], Sequence[Action]]) -> None:
        self.settings, self.alias = ActionsSettings(), ""
        self._install = firewalls
        super().__init__(folder, self._installed)

    def _installed(self, clock: HostClock) -> Action:
        self.firewalls = self._install(clock)
        return self.firewalls[0]

    def _open(self) -> None:
        some = {each.backend: Candidate(lambda _, each=each: each) for each in self.firewalls}
        catalogue = {"firewall-drop": tuple(some.values())}
        if self.alias:
            catalogue["pf"] = (some[self.alias],)
        self.store = Store(self.path, SCHEMA)
        self.journal = KilledJournal(self.store, AGENT, self.boot_id, self.clock)
        self.metrics = AgentMetrics()
        self.actions = Actions(self.settings, catalogue)
        self.executor = Executor(
            self.journal,
            self.actions.own,
            metrics=self.metrics,
            trouble=self.trouble,
            unsupported=self.actions.unsupported,
        )
        self.backends = Backends(self.actions, self.executor, self.journal, self.trouble)
        self.admission = Admission(
            AGENT,
            (),
            self.actions.by_name,
            allow=Allowlist(),
            automatic=lambda: Allowlist(),
            aliases=self.actions.aliases,
            unsupported=self.actions.unsupported,
        )

    def incoming(self, order: Order) -> Incoming:
        (judged,) = self.admission.judge([order])
        assert isinstance(judged, Incoming)
        return judged

    async def start(self) -> None:
        """As the daemon does."""
        await self.backends.choose()
        await self.executor.start()
        await self.backends.leave_former()

    async def reconciled(self) -> None:
        """Somebody has looked at the host, and nothing on it differs."""
        await self.after(6.0)
        await self.after(6.0)
        assert self.executor.drift == 0
