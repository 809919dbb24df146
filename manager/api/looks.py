"""How the manager is: its health and its figures, gathered when somebody asks."""

from collections import Counter
from collections.abc import Mapping

from manager.api.bodies.health import Health
from manager.ledger import on_hold
from manager.ledger.ledger import Ledger
from manager.metrics import Metrics, Seen
from manager.panic import Panic
from manager.reload import Reload
from manager.roster import Roster
from shared.broker import Link, Publisher
from shared.outbox import unsent
from shared.store import Store
from shared.version import RUNNING


class Looks:
    """What the API shows that is neither in the ledger nor in the roster alone. `links` go by their metrics' names."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        roster: Roster,
        metrics: Metrics,
        panic: Panic,
        reload: Reload,
        publisher: Publisher,
        links: Mapping[str, Link],
    ) -> None:
        self._store, self._ledger, self._roster, self._metrics = store, ledger, roster, metrics
        self._panic, self._reload = panic, reload
        self._publisher, self._links = publisher, links

    async def health(self) -> Health:
        """Whether all is well, and what isn't. Raises StoreError."""
        standstill = await self._panic.status()
        return Health(
            version=RUNNING,
            broker="connected" if self._publisher.connected.is_set() else "away",
            unsent=await self._store.read(unsent),
            on_hold=sum(standstill.on_hold.values()),
            paused=standstill.pause,
            tripped=standstill.tripped,
            configured_at=self._reload.since,
            configuration_refused=self._reload.refused,
        )

    async def figures(self) -> bytes:
        """The text of `/metrics`. Raises StoreError."""
        owed = await self._ledger.unanswered()
        self._metrics.refresh(
            Seen(
                unsent=await self._store.read(unsent),
                on_hold=await self._store.read(on_hold.count),
                overdue=owed.overdue,
                oldest_unanswered=owed.oldest,
                lives=Counter(self._roster.life(agent) for agent in self._roster.agents()),
                skew=self._roster.greatest_skew(),
                ledger=self._store.size(),
                connections={name: link.connections for name, link in self._links.items()},
            )
        )
        return self._metrics.exposition()
