"""The route of dead letters."""

from collections.abc import Sequence

from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.dead_letters import DeadLetterFilter, DeadLetters
from manager.api.route import Answer, Route
from manager.ledger.ledger import Ledger


class DeadLetterRoutes:
    """Handlers of requests."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def routes(self) -> Sequence[Route]:
        return (Route("GET", "/v1/dead-letters", self.list),)

    async def list(self, request: Request, _: str) -> Answer:
        wanted = requests.query(request, DeadLetterFilter)
        found = await self._ledger.dead_letters(wanted.reason, wanted.limit)
        return 200, DeadLetters(dead_letters=tuple(found))
