"""Lets go of whoever becomes protected while the agent runs: an address of its own, a gateway, a broker that moves.

The rule it keeps: who is protected is judged by what the host is now, and not by what it was when the order came.
"""

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network

import structlog

from agent.admission import Admission
from agent.host import BrokerAddresses
from agent.journal.journal import Journal
from agent.trouble import Trouble
from shared.errors import StoreError
from shared.targets import Allowlist

LOOK, LOOK_AGAIN = 60.0, 15.0  # s between two looks; while nobody knows where the broker is

log = structlog.get_logger()


class Safeguard:
    """Looks at the host's addresses and the broker's. `automatic` are the protected ones; `work` wakes the executor."""

    def __init__(
        self,
        journal: Journal,
        admission: Admission,
        addresses: BrokerAddresses,
        *,
        automatic: Callable[[], Allowlist],
        work: asyncio.Event,
        trouble: Trouble,
    ) -> None:
        self._journal, self._admission, self._addresses = journal, admission, addresses
        self._automatic, self._work, self._trouble = automatic, work, trouble
        self._known: frozenset[IPv4Network | IPv6Network] = frozenset()

    async def run(self) -> None:
        """Looks until cancelled. The first look is for what was adopted at the start."""
        while True:
            try:
                await self.look()
            except (StoreError, OSError) as error:  # OSError: the host can't tell its addresses just now
                self._trouble.say("safeguard", f"who is protected can't be let go: {error}")
            else:
                self._trouble.over("safeguard")
            await asyncio.sleep(LOOK if self._addresses.known() else LOOK_AGAIN)
            await asyncio.to_thread(self._addresses.look_up)

    async def look(self) -> None:
        """Goes through what is in force if anybody is protected who wasn't. Raises StoreError, OSError."""
        now = frozenset(network for network, _ in self._automatic())
        if not now - self._known:
            self._known = now
            return
        if lifted := await self.let_go():
            log.warning("let go of who is protected now", action="let_go", count=lifted)
            self._work.set()
        self._known = now

    async def let_go(self) -> int:
        """Marks what is in force, or about to be, on anybody protected; for how many orders. Raises the same."""
        why = self._admission.protection()
        return len(await self._journal.lift(lambda hold: bool(why(hold.target, hold.exempt))))
