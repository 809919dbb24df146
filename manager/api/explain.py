"""The route of explaining: what lines would come to with what is in force here. Nothing is counted, nothing ordered.

A session runs in a thread of its own, one at a time, and between two lines it looks at the time: neither the loop nor
the correlator ever waits for it.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.explain import NewExplanation
from manager.api.route import Answer, Route
from manager.correlation import Ruleset
from manager.correlation.bounded import stand_apart
from manager.explaining.explanation import Explained, Explanation
from manager.explaining.reacting import Reactions
from manager.explaining.session import Dated, Session, dated
from manager.reload import Reload
from manager.responses.verdict import Judge
from manager.roster import Roster
from manager.startup import Loaded
from shared.clock import Clock
from shared.errors import Busy

WAITING = 2  # sessions that are asked for at once; more are turned away
LIMIT = 4.0  # s for one session; those that wait come to less than a request may take
MOST_TRIED = 50_000  # rules that a session may tell of: its answer has to be made on the loop
LARGEST = 1024 * 1024  # bytes of a request


class ExplainRoutes:
    """`judge` gives the responses of what is in force."""

    def __init__(self, reload: Reload, judge: Callable[[Loaded], Judge], roster: Roster, clock: Clock) -> None:
        self._reload, self._judge, self._roster, self._clock = reload, judge, roster, clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="explain")
        self._asked = 0

    def routes(self) -> list[Route]:
        return [Route("POST", "/v1/explain", self._explain)]

    async def _explain(self, request: Request, _: str) -> Answer:
        wish = await requests.read(request, NewExplanation, LARGEST)
        if self._asked >= WAITING:
            raise Busy(f"{WAITING} sessions are being explained already; try again")
        loaded, since = self._reload.loaded, self._reload.since
        members = self._roster.members()
        reactions = Reactions(loaded.configuration, self._judge(loaded), lambda _: members)
        work = partial(_within, loaded.rules, reactions, wish, self._clock.wall())
        self._asked += 1
        try:
            lines = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._asked -= 1
        return 200, Explained(lines=lines, read_at=since)


def _within(ruleset: Ruleset, reactions: Reactions, wish: NewExplanation, now: float) -> tuple[Explanation, ...]:
    stand_apart()
    ends = time.monotonic() + LIMIT
    session, told, tried = Session(ruleset, reactions), list[Explanation](), 0
    for line in dated(wish.lines, Dated(near=now), wish.agent):
        if time.monotonic() > ends or tried > MOST_TRIED:
            raise Busy(f"{len(told)} of {len(wish.lines)} lines are all that can be explained at once; give fewer")
        told.append(session.explain(line))
        tried += len(told[-1].tried)
    return tuple(told)
