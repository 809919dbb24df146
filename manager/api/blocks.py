"""The routes of blocks: ordering one, lifting one, and what is in force."""

from collections.abc import Callable, Sequence

from msgspec import UNSET
from starlette.exceptions import HTTPException
from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.blocks import (
    BlockFilter,
    Blocks,
    Given,
    GivenMany,
    NewBlock,
    NewBlocks,
    NewUnblock,
    NewUnblocks,
    Terms,
)
from manager.api.route import Answer, Route
from manager.chronicle import Chronicle
from manager.dispatch import BlockRequest, Dispatch, Placed, UnblockRequest
from manager.ledger.ledger import Ledger
from manager.ledger.views import BlockQuery
from manager.lifting import Lifting
from manager.many import Many, Outcome
from manager.policy import AllowPolicy, AllowRequest
from manager.roster import Roster
from shared.ids import digest
from shared.messages import Order
from shared.targets import Allowlist, normalise_address, one_spelling

ON_HOLD = ("the manager is paused, so this is on hold; after `thwart resume`, `thwart approve` lets it through",)
_USED = "request id {} was used for something else; use a new one"


class BlockRoutes:
    """`forget` drops what was counted of an address; `manual_timeout` is in seconds."""

    def __init__(
        self,
        dispatch: Dispatch,
        ledger: Ledger,
        roster: Roster,
        policy: AllowPolicy,
        many: Many,
        chronicle: Chronicle,
        *,
        forget: Callable[[str], None],
        manual_timeout: float,
    ) -> None:
        self._dispatch, self._ledger, self._roster, self._chronicle = dispatch, ledger, roster, chronicle
        self._policy, self._many = policy, many
        self._forget, self._manual_timeout = forget, manual_timeout

    def routes(self) -> Sequence[Route]:
        return (
            Route("GET", "/v1/blocks", self.list),
            Route("GET", "/v1/blocks/{address:path}", self.show),
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
        return 200, await self._ledger.block(normalise_address(request.path_params["address"]))

    async def block(self, request: Request, issuer: str) -> Answer:
        wish = await requests.read(request, NewBlock)
        asked = self._asked(wish, wish.address, issuer)
        placed = await self._dispatch.block(asked)
        if placed.repeated and not _same(wish, placed):
            raise HTTPException(409, _USED.format(wish.request_id))
        self._chronicle.placed(placed)
        return _given(placed, ON_HOLD if placed.on_hold else self._notes(asked))

    async def block_many(self, request: Request, issuer: str) -> Answer:
        wish = await requests.read(request, NewBlocks)
        asked = self._asked(wish, "", issuer)
        done = await self._many.block(asked, wish.addresses)
        self._chronicle.placed(Placed(orders=done.orders, repeated=False, on_hold=done.on_hold))
        return _given_many(done, ON_HOLD if done.on_hold else self._notes(asked))

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
        target = normalise_address(wish.address)
        kept = await self._keep(wish, target, issuer)
        placed = await self._dispatch.unblock(
            UnblockRequest(request_id=wish.request_id, address=wish.address, reason=wish.reason, issuer=issuer)
        )
        if any(order.target != target for order in placed.orders):
            raise HTTPException(409, _USED.format(wish.request_id))
        self._forget(target)  # else what was counted before brings it back with the next line
        self._chronicle.placed(placed)
        both = Placed(orders=(*kept, *placed.orders), repeated=placed.repeated)
        return _given(both, _around(kept, target))

    async def _keep(self, wish: NewUnblock, target: str, issuer: str) -> tuple[Order, ...]:
        """Puts the target on the allowlist for a time, if that is wished; the lifts that were given for it.

        Before the rest is lifted, so that nothing can come in between.
        """
        if wish.keep is None:
            return ()
        kept_by = digest("keep", wish.request_id)
        lifts, around = await self._dispatch.lifts_of(wish.request_id), await self._dispatch.lifts_of(kept_by)
        here = Allowlist.of([target], "")
        if any(each.target != target for each in lifts) or not all(here.protects(each.target) for each in around):
            raise HTTPException(409, _USED.format(wish.request_id))
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

    def _asked(self, wish: Terms, address: str, issuer: str) -> BlockRequest:
        if bool(wish.agents) != (wish.location == "agent"):
            raise HTTPException(422, "name `agents` for location `agent`, and only then")
        return BlockRequest(
            request_id=wish.request_id,
            address=address,
            location=wish.location,
            agents=wish.agents,
            timeout=self._timeout(wish),
            reason=wish.reason,
            issuer=issuer,
            dry_run=wish.dry_run,
        )

    def _timeout(self, wish: Terms) -> float | None:
        if wish.timeout is UNSET:
            return self._manual_timeout
        return None if wish.timeout == "forever" else wish.timeout

    def _notes(self, wish: BlockRequest) -> tuple[str, ...]:
        """What is true of the order and easily overlooked."""
        members = self._roster.members()
        audience = members.audience(wish.location, wish.agents).known
        living = set(self._roster.living())
        silent = [agent for agent in audience if agent not in living]
        notes = []
        if wish.timeout is None:
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
