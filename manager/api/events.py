"""The route of events: what happens to orders as it happens, one JSON object a line; an empty line when nothing did."""

from collections.abc import AsyncIterator, Sequence

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse

from manager.api import requests
from manager.api.bodies.events import EventFilter
from manager.api.route import Answer, Route
from manager.broadcast import MOST, Broadcast
from manager.news import Interest
from shared.targets import one_spelling


class EventRoutes:
    """Handlers of requests."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    def routes(self) -> Sequence[Route]:
        return (Route("GET", "/v1/events", self.listen),)

    async def listen(self, request: Request, _: str) -> Answer:
        wanted = requests.query(request, EventFilter)
        target = wanted.target and one_spelling(wanted.target)
        interest = Interest(order=wanted.order, agent=wanted.agent, target=target)
        if self._broadcast.full:
            raise HTTPException(503, f"{MOST} listen already; end one of them first")
        return StreamingResponse(self._lines(interest), media_type="application/x-ndjson")

    async def _lines(self, interest: Interest) -> AsyncIterator[bytes]:
        with self._broadcast.listening(interest) as listener:
            async for some in listener.news():
                yield b"".join(msgspec.json.encode(each) + b"\n" for each in some) or b"\n"
