"""The routes of orders: giving one of any action, which there are, and the whole story of one."""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request

from manager.api import requests
from manager.api.bodies.orders import NewOrder, OrderFilter, Orders
from manager.api.giving import Giving
from manager.api.route import Answer, Route
from manager.ledger.ledger import Ledger
from manager.ledger.views import OrderQuery
from shared.targets import one_spelling


class OrderRoutes:
    """Handlers of requests."""

    def __init__(self, giving: Giving, ledger: Ledger) -> None:
        self._giving, self._ledger = giving, ledger

    def routes(self) -> Sequence[Route]:
        return (
            Route("POST", "/v1/orders", self.give),
            Route("GET", "/v1/orders", self.list),
            Route("GET", "/v1/orders/{order_id}", self.show),
        )

    async def give(self, request: Request, issuer: str) -> Answer:
        wish = await requests.read(request, NewOrder)
        asked = self._giving.asked(wish, issuer, action=wish.action, target=wish.target, arguments=wish.arguments)
        return await self._giving.give(asked)

    async def list(self, request: Request, _: str) -> Answer:
        wanted = requests.query(request, OrderFilter)
        target = wanted.target and one_spelling(wanted.target)
        query = OrderQuery(state=wanted.state, target=target, agent=wanted.agent, limit=wanted.limit)
        return 200, Orders(orders=tuple(await self._ledger.orders(query)))

    async def show(self, request: Request, _: str) -> Answer:
        order_id = request.path_params["order_id"]
        story = await self._ledger.order(order_id)
        if story is None:
            raise HTTPException(404, await self._why_not_one(order_id))
        return 200, story

    async def _why_not_one(self, beginning: str) -> str:
        some = await self._ledger.starting(beginning)
        if some:
            return (
                f"more than one order has an id that begins with {beginning[:64]!r}: {', '.join(some)}; give more of it"
            )
        return f"no order has an id that begins with {beginning[:64]!r}; `thwart orders` lists the newest"
