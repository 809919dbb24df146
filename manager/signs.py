"""What the manager shows of itself to whoever has no token: whether it lives and hears, and a word to systemd."""

import asyncio
from collections.abc import Mapping, Sequence

from manager.roster import Roster
from shared import status
from shared.broker import Link
from shared.health import Health, tell
from shared.notify import Notify
from shared.status import Reply
from shared.store import Store


class Signs:
    """`links` go by what they are for. The API answers in the loop: one that hangs gives no answer, which is one."""

    def __init__(self, store: Store, roster: Roster, links: Mapping[str, Link], notify: Notify) -> None:
        self._roster, self._links, self._notify = roster, links, notify
        self._health = Health(store, self._unready)

    async def run(self) -> None:
        """Shows that the loop turns, until cancelled."""
        await asyncio.gather(self._health.run(), tell(self._notify, self._sentence))

    def started(self) -> None:
        """The manager works, as soon as there is a broker."""
        self._notify.watch(self._health.hangs)
        self._notify.started(self._sentence())

    def stopping(self) -> None:
        """The manager ends, on purpose."""
        self._notify.stopping()

    async def live(self) -> Reply:
        """What `/live` answers; beside the loop, because it waits for the ledger."""
        return status.live(await asyncio.to_thread(self._health.look))

    async def ready(self) -> Reply:
        """What `/ready` answers."""
        return status.ready(await asyncio.to_thread(self._health.look))

    def _unready(self) -> Sequence[str]:
        away = [name for name, link in self._links.items() if not link.connected.is_set()]
        return (f"the broker can't be reached, or not yet, for {', '.join(away)}",) if away else ()

    def _sentence(self) -> str:
        living, known = len(self._roster.living()), len(self._roster.members().ids())
        return "; ".join((*self._unready(), f"{living} of {known} agents living"))
