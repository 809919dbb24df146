"""The routes of offenders: who is remembered, what of one, and forgetting one."""

from collections.abc import Callable, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.offenders import OffenderFilter, Offenders, Pardon
from manager.api.route import Answer, Route
from manager.ledger import offenders
from manager.ledger.ledger import Ledger
from shared.targets import one_spelling


class OffenderRoutes:
    """`forget` drops what was counted of an address."""

    def __init__(self, ledger: Ledger, forget: Callable[[str], None]) -> None:
        self._ledger, self._forget = ledger, forget

    def routes(self) -> Sequence[Route]:
        return (
            Route("GET", "/v1/offenders", self.list),
            Route("DELETE", "/v1/offenders", self.forget),
            Route("GET", "/v1/offenders/{target:path}", self.show),
        )

    async def list(self, request: Request, _: str) -> Answer:
        wanted = requests.query(request, OffenderFilter)
        target = wanted.target and one_spelling(wanted.target)
        query = offenders.Offenders(target=target, response=wanted.response, limit=wanted.limit)
        return 200, Offenders(offenders=tuple(await self._ledger.offenders(query)))

    async def show(self, request: Request, _: str) -> Answer:
        target = one_spelling(request.path_params["target"])
        story = await self._ledger.offender(target)
        if not (story.offences or story.orders or story.blocks):
            raise HTTPException(404, f"nothing is known of {target[:80]!r}; `thwart offenders` lists who is")
        return 200, story

    async def forget(self, request: Request, _: str) -> Answer:
        wish = requests.query(request, Pardon)
        target = one_spelling(wish.target)
        forgotten = await self._ledger.pardon(offenders.Offenders(target=target, response=wish.response, limit=1_000))
        self._forget(target)
        return 200, Offenders(offenders=tuple(forgotten))
