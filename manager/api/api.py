"""The HTTP API: people's orders in, what the ledger knows out. Every route but `/metrics` needs a token.

Errors are JSON: `{"error": "a sentence"}` with 400 not understood, 401 no token, 404 no such thing, 409 refused
(protected, paused, or the request id was used for something else), 413 too large, 422 not possible, 503 not now.
"""

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from msgspec import UNSET
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from manager.api import requests
from manager.api.allow import AllowRoutes
from manager.api.bodies.agents import Agents, AgentView
from manager.api.bodies.blocks import Blocks, Given, NewBlock, NewUnblock
from manager.api.bodies.body import Problem
from manager.api.bodies.dead_letters import DeadLetterFilter, DeadLetters
from manager.api.bodies.orders import OrderFilter, Orders
from manager.api.decisions import Decisions
from manager.api.looks import Looks
from manager.api.tokens import Tokens
from manager.chronicle import Chronicle
from manager.dispatch import BlockRequest, Dispatch, Placed, UnblockRequest
from manager.ledger.agents import Agent
from manager.ledger.ledger import Ledger
from manager.ledger.views import OrderQuery
from manager.roster import Roster
from shared.errors import (
    ManagerPaused,
    ProtectedTarget,
    RequestError,
    StoreError,
    TargetError,
    ThwartError,
)
from shared.metrics import CONTENT_TYPE
from shared.targets import normalise_address, one_spelling

ON_HOLD = ("the manager is paused, so this is on hold; after `thwart resume`, `thwart approve` lets it through",)
_USED = "request id {} was used for something else; use a new one"

Answer = msgspec.Struct | bytes
Handler = Callable[[Request, str], Awaitable[tuple[int, Answer]]]

log = structlog.get_logger()


class Api:
    """The routes. `forget` drops what was counted of an address; `manual_timeout` is in seconds."""

    def __init__(
        self,
        dispatch: Dispatch,
        ledger: Ledger,
        roster: Roster,
        chronicle: Chronicle,
        decisions: Decisions,
        allow: AllowRoutes,
        tokens: Tokens,
        looks: Looks,
        *,
        forget: Callable[[str], None],
        manual_timeout: float,
    ) -> None:
        self._dispatch, self._ledger, self._roster, self._chronicle = dispatch, ledger, roster, chronicle
        self._decisions, self._allow = decisions, allow
        self._tokens, self._looks, self._forget, self._manual_timeout = tokens, looks, forget, manual_timeout

    def app(self) -> Starlette:
        """The ASGI application."""
        decisions, allow = self._decisions, self._allow
        routes = [
            Route("/v1/blocks", self._guarded(self._block), methods=["POST"]),
            Route("/v1/blocks", self._guarded(self._blocks), methods=["GET"]),
            Route("/v1/unblocks", self._guarded(self._unblock), methods=["POST"]),
            Route("/v1/unblocks/everything", self._guarded(decisions.unblock_everything), methods=["POST"]),
            Route("/v1/approvals", self._guarded(decisions.approve), methods=["POST"]),
            Route("/v1/refusals", self._guarded(decisions.refuse), methods=["POST"]),
            Route("/v1/pause", self._guarded(decisions.status), methods=["GET"]),
            Route("/v1/pause", self._guarded(decisions.pause), methods=["POST"]),
            Route("/v1/resume", self._guarded(decisions.resume), methods=["POST"]),
            Route("/v1/orders", self._guarded(self._orders), methods=["GET"]),
            Route("/v1/orders/{order_id}", self._guarded(self._order), methods=["GET"]),
            Route("/v1/dead-letters", self._guarded(self._dead_letters), methods=["GET"]),
            Route("/v1/allow", self._guarded(allow.list), methods=["GET"]),
            Route("/v1/allow", self._guarded(allow.add), methods=["POST"]),
            Route("/v1/allow", self._guarded(allow.remove), methods=["DELETE"]),
            Route("/v1/allow/check", self._guarded(allow.check), methods=["GET"]),
            Route("/v1/agents", self._guarded(self._agents), methods=["GET"]),
            Route("/v1/health", self._guarded(self._health), methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _http_problem, Exception: _unexpected})

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """`handler`, called with the name that the request's token stands for, its errors answered."""

        async def guarded(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            name = self._tokens.name_of(token.strip()) if scheme.lower() == "bearer" else None
            if name is None:
                return _problem(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
            try:
                status, answer = await handler(request, name)
            except ThwartError as error:
                return _problem(_status(error), str(error))
            return _json(status, answer)

        return guarded

    async def _block(self, request: Request, issuer: str) -> tuple[int, Answer]:
        wish = await requests.read(request, NewBlock)
        if bool(wish.agents) != (wish.location == "agent"):
            raise HTTPException(422, "name `agents` for location `agent`, and only then")
        timeout = self._timeout(wish)
        placed = await self._dispatch.block(
            BlockRequest(
                request_id=wish.request_id,
                address=wish.address,
                location=wish.location,
                agents=wish.agents,
                timeout=timeout,
                reason=wish.reason,
                issuer=issuer,
                dry_run=wish.dry_run,
            )
        )
        if placed.repeated and not _same(wish, placed):
            raise HTTPException(409, _USED.format(wish.request_id))
        self._chronicle.placed(placed)
        return _given(placed, ON_HOLD if placed.on_hold else self._notes(wish, timeout))

    async def _unblock(self, request: Request, issuer: str) -> tuple[int, Answer]:
        wish = await requests.read(request, NewUnblock)
        placed = await self._dispatch.unblock(
            UnblockRequest(request_id=wish.request_id, address=wish.address, reason=wish.reason, issuer=issuer)
        )
        target = normalise_address(wish.address)
        if any(order.target != target for order in placed.orders):
            raise HTTPException(409, _USED.format(wish.request_id))
        self._forget(target)  # else what was counted before brings it back with the next line
        self._chronicle.placed(placed)
        return _given(placed, ())

    async def _blocks(self, _: Request, __: str) -> tuple[int, Answer]:
        return 200, Blocks(blocks=tuple(await self._ledger.blocks()))

    async def _orders(self, request: Request, _: str) -> tuple[int, Answer]:
        wanted = requests.query(request, OrderFilter)
        query = OrderQuery(
            state=wanted.state,
            target=wanted.target and one_spelling(wanted.target),
            agent=wanted.agent,
            limit=wanted.limit,
        )
        return 200, Orders(orders=tuple(await self._ledger.orders(query)))

    async def _order(self, request: Request, _: str) -> tuple[int, Answer]:
        order_id = request.path_params["order_id"]
        story = await self._ledger.order(order_id)
        if story is None:
            raise HTTPException(404, f"no order, or more than one, has an id that begins with {order_id[:64]!r}")
        return 200, story

    async def _dead_letters(self, request: Request, _: str) -> tuple[int, Answer]:
        wanted = requests.query(request, DeadLetterFilter)
        found = await self._ledger.dead_letters(wanted.reason, wanted.limit)
        return 200, DeadLetters(dead_letters=tuple(found))

    async def _agents(self, _: Request, __: str) -> tuple[int, Answer]:
        return 200, Agents(agents=tuple(_view(agent, self._roster) for agent in self._roster.agents()))

    async def _health(self, _: Request, __: str) -> tuple[int, Answer]:
        return 200, await self._looks.health()

    async def _metrics(self, _: Request) -> Response:
        return Response(await self._looks.figures(), media_type=CONTENT_TYPE)

    def _timeout(self, wish: NewBlock) -> float | None:
        if wish.timeout is UNSET:
            return self._manual_timeout
        return None if wish.timeout == "forever" else wish.timeout

    def _notes(self, wish: NewBlock, timeout: float | None) -> tuple[str, ...]:
        """What is true of the order and easily overlooked."""
        members = self._roster.members()
        audience = members.audience(wish.location, wish.agents).known
        living = set(self._roster.living())
        silent = [agent for agent in audience if agent not in living]
        notes = []
        if timeout is None:
            notes.append("it has no end: it stays until it is lifted")
        if not audience:
            notes.append("no agent that it is for has been heard of yet; those that come will get it")
        elif wish.location == "all" and not members.servers():
            notes.append("no agent has the role `server` yet, so no manager host is covered")
        if silent:
            notes.append(f"silent, will get it when they are back: {', '.join(silent)}")
        return tuple(notes)


def _same(wish: NewBlock, placed: Placed) -> bool:
    asked = (normalise_address(wish.address), wish.location, tuple(sorted(set(wish.agents))), wish.dry_run)
    return [asked] == [(order.target, order.location, order.agents, order.dry_run) for order in placed.orders]


def _given(placed: Placed, notes: tuple[str, ...]) -> tuple[int, Answer]:
    status = 201 if placed.orders and not placed.repeated else 200
    return status, Given(orders=placed.orders, repeated=placed.repeated, on_hold=placed.on_hold, notes=notes)


def _view(agent: Agent, roster: Roster) -> AgentView:
    said = agent.heartbeat
    return AgentView(
        id=agent.id,
        state=roster.life(agent),
        hostname=said.hostname,
        roles=said.roles,
        labels=said.labels,
        addresses=said.addresses,
        actions=said.actions,
        unsupported=said.unsupported,
        version=said.version,
        first_seen_at=agent.first_seen_at,
        seen_at=agent.seen_at,
        skew=agent.skew,
        holds=said.holds.count,
        drift=said.drift,
        unsent=said.unsent,
        trouble=said.trouble,
    )


def _status(error: ThwartError) -> int:
    if isinstance(error, ProtectedTarget | ManagerPaused):
        return 409
    if isinstance(error, TargetError | RequestError):
        return 422
    return 503 if isinstance(error, StoreError) else 500


def _json(status: int, answer: Answer, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(answer), status, headers, media_type="application/json")


def _problem(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    return _json(status, Problem(error=error), headers)


def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # what this handler is registered for
    return _problem(error.status_code, str(error.detail), dict(error.headers or {}))


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("a request failed", action="request_failed", path=request.url.path, error=repr(error))
    return _problem(500, "the manager failed on this request; its log says more")
