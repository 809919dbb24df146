"""The routes of blocks: ordering one, lifting one, and what is in force."""

from collections.abc import Callable, Sequence

from msgspec import UNSET
from starlette.exceptions import HTTPException
from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.blocks import Blocks, Given, NewBlock, NewUnblock
from manager.api.route import Answer, Route
from manager.chronicle import Chronicle
from manager.dispatch import BlockRequest, Dispatch, Placed, UnblockRequest
from manager.ledger.ledger import Ledger
from manager.roster import Roster
from shared.targets import normalise_address

ON_HOLD = ("the manager is paused, so this is on hold; after `thwart resume`, `thwart approve` lets it through",)
_USED = "request id {} was used for something else; use a new one"


class BlockRoutes:
    """`forget` drops what was counted of an address; `manual_timeout` is in seconds."""

    def __init__(
        self,
        dispatch: Dispatch,
        ledger: Ledger,
        roster: Roster,
        chronicle: Chronicle,
        *,
        forget: Callable[[str], None],
        manual_timeout: float,
    ) -> None:
        self._dispatch, self._ledger, self._roster, self._chronicle = dispatch, ledger, roster, chronicle
        self._forget, self._manual_timeout = forget, manual_timeout

    def routes(self) -> Sequence[Route]:
        return (
            Route("GET", "/v1/blocks", self.list),
            Route("POST", "/v1/blocks", self.block),
            Route("POST", "/v1/unblocks", self.unblock),
        )

    async def list(self, _: Request, __: str) -> Answer:
        return 200, Blocks(blocks=tuple(await self._ledger.blocks()))

    async def block(self, request: Request, issuer: str) -> Answer:
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

    async def unblock(self, request: Request, issuer: str) -> Answer:
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


def _given(placed: Placed, notes: tuple[str, ...]) -> Answer:
    status = 201 if placed.orders and not placed.repeated else 200
    return status, Given(orders=placed.orders, repeated=placed.repeated, on_hold=placed.on_hold, notes=notes)
