"""The routes on which people decide: about orders on hold, about a pause, about the end of every block."""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.blocks import EverythingLifted, NewUnblockOfEverything
from manager.api.bodies.decisions import NewDecision, NewPause, NewResumption, OnHoldDecided
from manager.api.route import Answer, Route
from manager.approvals import Approvals, Decided, Word
from manager.chronicle import Chronicle
from manager.ledger.on_hold import Selection
from manager.ledger.views import Standstill
from manager.panic import Everything, Panic
from shared.targets import one_spelling


class Decisions:
    """Handlers of requests; each gets the name that the request's token stands for."""

    def __init__(self, approvals: Approvals, panic: Panic, chronicle: Chronicle) -> None:
        self._approvals, self._panic, self._chronicle = approvals, panic, chronicle

    def routes(self) -> Sequence[Route]:
        return (
            Route("POST", "/v1/approvals", self.approve),
            Route("POST", "/v1/refusals", self.refuse),
            Route("GET", "/v1/pause", self.status),
            Route("POST", "/v1/pause", self.pause),
            Route("POST", "/v1/resume", self.resume),
            Route("POST", "/v1/unblocks/everything", self.unblock_everything),
        )

    async def approve(self, request: Request, issuer: str) -> Answer:
        decided = await self._approvals.approve(_word(await requests.read(request, NewDecision), issuer))
        self._chronicle.approved(decided, issuer)
        return 200, _decided(decided)

    async def refuse(self, request: Request, issuer: str) -> Answer:
        decided = await self._approvals.refuse(_word(await requests.read(request, NewDecision), issuer))
        self._chronicle.turned_down(decided, issuer)
        return 200, _decided(decided)

    async def pause(self, request: Request, issuer: str) -> Answer:
        wish = await requests.read(request, NewPause)
        standstill = await self._panic.pause(issuer, wish.reason)
        self._chronicle.paused(standstill, issuer)
        return 200, standstill

    async def resume(self, request: Request, issuer: str) -> Answer:
        await requests.read(request, NewResumption)
        standstill = await self._panic.resume()
        self._chronicle.resumed(standstill, issuer)
        return 200, standstill

    async def status(self, _: Request, __: str) -> Answer:
        standstill: Standstill = await self._panic.status()
        return 200, standstill

    async def unblock_everything(self, request: Request, issuer: str) -> Answer:
        wish = await requests.read(request, NewUnblockOfEverything)
        lifted = await self._panic.lift_everything(
            Everything(request_id=wish.request_id, issuer=issuer, reason=wish.reason, after=wish.after)
        )
        self._chronicle.lifted(lifted, issuer)
        return 200, EverythingLifted(orders=lifted.orders, deletes=len(lifted.deletes), after=lifted.after)


def _word(wish: NewDecision, issuer: str) -> Word:
    selected = wish.everything or wish.response is not None or wish.target is not None
    if selected == bool(wish.ids) or (wish.everything and (wish.response is not None or wish.target is not None)):
        raise HTTPException(422, "name orders by `ids`, or select some by `response` and `target`, or `everything`")
    target = wish.target and one_spelling(wish.target)
    selection = Selection(response=wish.response, target=target) if selected else None
    return Word(issuer=issuer, ids=wish.ids, selection=selection, reason=wish.reason, before=wish.before)


def _decided(decided: Decided) -> OnHoldDecided:
    return OnHoldDecided(
        orders=tuple(order.id for order in decided.orders),
        objections=decided.objections,
        more=decided.more,
        before=decided.before,
    )
