"""The routes of blocks: ordering one, lifting one, and what is in force."""

from collections.abc import Callable, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.blocks import (
    BlockFilter,
    Blocks,
    GivenMany,
    NewBlock,
    NewBlocks,
    NewUnblock,
    NewUnblocks,
)
from manager.api.giving import ON_HOLD, USED, Giving, given
from manager.api.route import Answer, Route
from manager.by_hand import BLOCK
from manager.chronicle import Chronicle
from manager.dispatch import Dispatch, Placed, UnblockRequest
from manager.ledger.ledger import Ledger
from manager.ledger.views import BlockQuery
from manager.lifting import Lifting
from manager.many import Many, Outcome
from manager.policy import AllowPolicy, AllowRequest
from manager.roster import Roster
from shared.ids import digest
from shared.messages import Order
from shared.targets import Allowlist, normalise_address, normalise_target, one_spelling


class BlockRoutes:
    """`forget` drops what was counted of an address."""

    def __init__(
        self,
        dispatch: Dispatch,
        giving: Giving,
        ledger: Ledger,
        roster: Roster,
        policy: AllowPolicy,
        many: Many,
        chronicle: Chronicle,
        *,
        forget: Callable[[str], None],
    ) -> None:
        self._dispatch, self._giving, self._chronicle = dispatch, giving, chronicle
        self._ledger, self._roster, self._policy, self._many = ledger, roster, policy, many
        self._forget = forget

    def routes(self) -> Sequence[Route]:
        return (
            Route("GET", "/v1/blocks", self.list),
            Route("GET", "/v1/blocks/{target:path}", self.show),
            Route("POST", "/v1/blocks", self.block),
            Route("POST", "/v1/blocks/many", self.block_many),
            Route("POST", "/v1/unblocks", self.unblock),
            Route("POST", "/v1/unblocks/many", self.unblock_many),
        )

    async def list(self, request: Request, _: str) -> Answer:
        wanted = requests.query(request, BlockFilter)
        if wanted.agent:
            self._roster.find(wanted.agent)
        target = wanted.target and one_spelling(wanted.target)
        query = BlockQuery(target=target, agent=wanted.agent, order=wanted.order)
        return 200, Blocks(blocks=tuple(await self._ledger.blocks(query)))

    async def show(self, request: Request, _: str) -> Answer:
        return 200, await self._ledger.block(normalise_target(request.path_params["target"]))

    async def block(self, request: Request, issuer: str) -> Answer:
        wish = await requests.read(request, NewBlock)
        return await self._giving.give(self._giving.asked(wish, issuer, action=BLOCK, target=wish.address))

    async def block_many(self, request: Request, issuer: str) -> Answer:
        wish = await requests.read(request, NewBlocks)
        asked = self._giving.asked(wish, issuer, action=BLOCK)
        done = await self._many.order(asked, wish.addresses)
        self._chronicle.placed(Placed(orders=done.orders, repeated=False, on_hold=done.on_hold))
        return _given_many(done, ON_HOLD if done.on_hold else self._giving.notes(asked))

    async def unblock_many(self, request: Request, issuer: str) -> Answer:
        wish = await requests.read(request, NewUnblocks)
        word = Lifting(request_id=wish.request_id, reason=wish.reason, issuer=issuer)
        done = await self._many.unblock(word, wish.addresses)
        for address in wish.addresses[: done.taken]:
            self._forget(one_spelling(address))
        self._chronicle.placed(Placed(orders=done.orders, repeated=False))
        return _given_many(done, ())

    async def unblock(self, request: Request, issuer: str) -> Answer:
        wish = await requests.read(request, NewUnblock)
        target = normalise_target(wish.address)
        kept = await self._keep(wish, target, issuer)
        placed = await self._dispatch.unblock(
            UnblockRequest(request_id=wish.request_id, target=target, reason=wish.reason, issuer=issuer)
        )
        if any(order.target != target for order in placed.orders):
            raise HTTPException(409, USED.format(wish.request_id))
        self._forget(target)  # else what was counted before brings it back with the next line
        self._chronicle.placed(placed)
        both = Placed(orders=(*kept, *placed.orders), repeated=placed.repeated)
        return given(both, _around(kept, target))

    async def _keep(self, wish: NewUnblock, target: str, issuer: str) -> tuple[Order, ...]:
        """Puts the target on the allowlist for a time, if that is wished; the lifts that were given for it.

        Before the rest is lifted, so that nothing can come in between.
        """
        if wish.keep is None:
            return ()
        kept_by = digest("keep", wish.request_id)
        normalise_address(target)  # the allowlist has no names
        lifts, around = await self._dispatch.lifts_of(wish.request_id), await self._dispatch.lifts_of(kept_by)
        here = Allowlist.of([target], "")
        if any(each.target != target for each in lifts) or not all(here.protects(each.target) for each in around):
            raise HTTPException(409, USED.format(wish.request_id))
        changed = await self._policy.add(
            AllowRequest(
                request_id=kept_by,
                network=target,
                reason=wish.reason or "unblocked",
                issuer=issuer,
                keep=wish.keep,
            )
        )
        self._chronicle.placed(Placed(orders=changed.given, repeated=False))
        return changed.lifted


def _given_many(done: Outcome, notes: tuple[str, ...]) -> Answer:
    return 200, GivenMany(
        taken=done.taken,
        orders=len(done.orders),
        repeated=done.repeated,
        on_hold=done.on_hold,
        declined=done.declined,
        notes=notes,
    )


def _around(lifted: Sequence[Order], target: str) -> tuple[str, ...]:
    """To keep an address out of everything, what covers it had to be lifted too."""
    others = sorted({order.target for order in lifted} - {target})
    return (f"to keep {target} unblocked, the block of {', '.join(others)} is lifted as well",) if others else ()
