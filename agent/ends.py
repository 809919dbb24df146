"""The channel that hears of alerts hears of ends, too: of what is no longer in force on this host, some at a time.

The rule it keeps: telling holds up nothing. What can't be told is not told later, and what a killed agent had gathered
is not told at all: the managers know every end, this is news.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from agent.actions.wazuh_slack import slack_message
from agent.actions.wazuh_slack.webhook import Webhook
from agent.journal.errands import LONGEST, QUIET
from agent.journal.settling import Settled
from agent.trouble import Trouble
from shared.errors import ActionError
from shared.messages import Expiry

MOST = 1_000  # that are kept until they are told; of more only the number of each outcome


class Ends:
    """`heard` whenever something was settled; `run` tells of it."""

    def __init__(
        self, webhook: Webhook, host: str, trouble: Trouble, *, quiet: float = QUIET, longest: float = LONGEST
    ) -> None:
        """`host` is what this one is called in the channel; `quiet` and `longest` are seconds, as for errands."""
        self._webhook, self._host, self._trouble = webhook, host, trouble
        self._quiet, self._longest = quiet, longest
        self._gathered: list[Expiry] = []
        self._more: Counter[str] = Counter()  # by outcome
        self._news = asyncio.Event()

    def heard(self, settled: Settled) -> None:
        """Keeps the ends in it that changed something on this host."""
        for end in settled.expiries:
            if end.outcome == "kept":
                continue
            if len(self._gathered) < MOST:
                self._gathered.append(end)
            else:
                self._more[end.outcome] += 1
            self._news.set()

    async def run(self) -> None:
        """Tells until cancelled."""
        while True:
            await self._news.wait()
            await self._gather()
            some, more, self._gathered, self._more = self._gathered, self._more, [], Counter()
            self._news.clear()
            if self._webhook.is_there():
                await asyncio.to_thread(self._tell, some, more)
            else:  # who took it away wants nothing told
                self._trouble.over("webhook")

    async def _gather(self) -> None:
        """Until nothing more has come for a moment, or the first has waited long enough."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._longest):
                while True:
                    self._news.clear()
                    async with asyncio.timeout(self._quiet):
                        await self._news.wait()

    def _tell(self, some: Sequence[Expiry], more: Mapping[str, int]) -> None:
        try:
            self._webhook.post(slack_message.of_ends(some, more, self._host), self._webhook.url())
        except ActionError as error:
            self._trouble.say("webhook", f"the end of blocks can't be told: {error}")
        else:
            self._trouble.over("webhook")
