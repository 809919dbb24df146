"""The HTTP API: people's orders in, what the ledger knows out. All but `/metrics`, `/live` and `/ready` needs a token.

Each noun has a module that gives its routes. Errors are JSON: `{"error": "a sentence"}` with 400 not understood,
401 no token, 404 no such thing, 409 refused (protected, paused, or the request id was used for something else),
413 too large, 422 not possible, 503 not now.
"""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

import msgspec
import structlog
from starlette import routing
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from manager.api.bodies.body import Problem
from manager.api.looks import Looks
from manager.api.route import Answer, Handler, Route
from manager.api.tokens import Tokens
from manager.signs import Signs
from shared.errors import (
    BrokerError,
    Busy,
    ManagerPaused,
    ProtectedTarget,
    ReloadRefused,
    RequestError,
    StoreError,
    TargetError,
    ThwartError,
    UnknownRule,
)
from shared.metrics import CONTENT_TYPE
from shared.status import Reply

_STATUSES = (  # the first that fits
    (404, UnknownRule),
    (409, ProtectedTarget | ManagerPaused | ReloadRefused),
    (503, Busy | StoreError | BrokerError),
    (422, TargetError | RequestError),
)

log = structlog.get_logger()


class Api:
    """Serves `routes` to whoever shows a token."""

    def __init__(self, tokens: Tokens, looks: Looks, signs: Signs, routes: Iterable[Route]) -> None:
        self._tokens, self._looks, self._signs = tokens, looks, signs
        self._routes = (*routes, Route("GET", "/v1/health", self._health))

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [routing.Route(each.path, self._guarded(each.handler), methods=[each.method]) for each in self._routes]
        for path, handler in (("/metrics", self._metrics), ("/live", self._live), ("/ready", self._ready)):
            routes.append(routing.Route(path, handler, methods=["GET"]))
        return Starlette(routes=routes, exception_handlers={HTTPException: _http_problem, Exception: _unexpected})

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """`handler`, called with the name that the request's token stands for, its errors answered."""

        async def guarded(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            name = self._tokens.name_of(token.strip()) if scheme.lower() == "bearer" else None
            if name is None:
                return _problem(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
            try:
                answer = await handler(request, name)
            except ThwartError as error:
                return _problem(_status(error), str(error))
            return answer if isinstance(answer, Response) else _json(*answer)

        return guarded

    async def _health(self, _: Request, __: str) -> Answer:
        return 200, await self._looks.health()

    async def _live(self, _: Request) -> Response:
        return _said(await self._signs.live())

    async def _ready(self, _: Request) -> Response:
        return _said(await self._signs.ready())

    async def _metrics(self, _: Request) -> Response:
        try:
            return Response(await self._looks.figures(), media_type=CONTENT_TYPE)
        except ThwartError as error:
            return _problem(_status(error), str(error))


def _said(reply: Reply) -> Response:
    return Response(reply.body, reply.status, media_type=reply.kind)


def _status(error: ThwartError) -> int:
    return next((status for status, kinds in _STATUSES if isinstance(error, kinds)), 500)


def _json(status: int, answer: msgspec.Struct, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(answer), status, headers, media_type="application/json")


def _problem(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    return _json(status, Problem(error=error), headers)


def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # what this handler is registered for
    if error.detail == HTTPStatus.NOT_FOUND.phrase:  # nobody's own words: no route is like that
        return _problem(404, f"there is nothing at {request.url.path}; the API's own paths begin with /v1/")
    return _problem(error.status_code, str(error.detail), dict(error.headers or {}))


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("a request failed", action="request_failed", path=request.url.path, error=repr(error))
    return _problem(500, "the manager failed on this request; its log says more")
