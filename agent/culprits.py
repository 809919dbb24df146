"""Who of many effects cuts this host off: found by taking them off the host, and putting them back in halves of halves.

The rule it keeps: nobody is blamed by inference.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from agent.journal.planning import Name

TIMES = 2  # that a culprit is seen to close the way, and to open it: a network that comes and goes may look like that


class Host(Protocol):
    """Who can take effects off the host and put them back; `Executor` is one. Every method raises StoreError."""

    @property
    def off(self) -> frozenset[Name]:
        """What is off the host, though the journal has it in force."""

    async def keep_off(self, names: Collection[Name]) -> None:
        """Takes exactly these off, and puts back what else was off, if it is still to be in force."""

    async def condemn(self, names: Collection[Name], why: str) -> None:
        """Ends these, which are off: the orders that hold them have failed, and `why` is what is answered."""


class Search:
    """Finds who of several cuts this host off, by putting them back in halves of halves.

    Nobody is blamed by inference: each culprit was in force alone, beside those that had been found innocent.
    """

    def __init__(self, host: Host, is_open: Callable[[], Awaitable[bool]]) -> None:
        """`is_open`: the way to the broker, just now."""
        self._host, self._is_open = host, is_open
        self.culprits: list[Name] = []

    async def among(self, suspects: Sequence[Name]) -> bool:
        """All but the culprits are back in force. False when the broker is away: then some are off, and `culprits`
        are those that were found before.
        """
        await self._host.keep_off(suspects)
        return await self._is_open() and await self._halves(suspects)

    async def _halves(self, group: Sequence[Name]) -> bool:
        """`group` is off, and somebody in it is a culprit, by all that is known."""
        if len(group) == 1:
            return await self._try(group)
        middle, before = len(group) // 2, len(self.culprits)
        if not await self._try(group[:middle]):
            return False
        rest = group[middle:]
        return await (self._halves(rest) if len(self.culprits) == before else self._try(rest))

    async def _try(self, group: Sequence[Name]) -> bool:
        for _ in range(TIMES if len(group) == 1 else 1):
            await self._host.keep_off(self._host.off - frozenset(group))
            if await self._is_open():
                return True
            await self._host.keep_off(self._host.off | frozenset(group))
            if not await self._is_open():
                return False
        if len(group) > 1:
            return await self._halves(group)
        self.culprits += group
        return True
