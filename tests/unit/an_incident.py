"""A manager with a configuration and a real ledger, and alerts that come to it at given seconds."""

from manager.dispatch import Taken
from manager.responses.verdict import Sighting
from shared.messages import Order
from tests.unit.a_manager import START, AManager
from tests.unit.a_verdict import alert


class Incident:
    """A manager with a configuration, and alerts about one attacker at given seconds after START."""

    def __init__(self, manager: AManager) -> None:
        self.manager = manager
        self._taken = 0

    async def alert(self, at: float, seen: float | None = None, agent: str = "web1", **fields: object) -> Taken:
        """An alert that comes at `at` about a line of `seen`."""
        self._taken += 1
        self.manager.clock.passed = at
        about = alert(agent=agent, id=f"a{at}-{self._taken}", **fields)
        (taken,) = await self.manager.dispatch.take([Sighting(alert=about, at=START + (at if seen is None else seen))])
        return taken

    async def order(self, at: float, *answers: str, status: str = "applied", **about: object) -> Order:
        """The only order that an alert makes, answered at once by these agents."""
        (order,) = (await self.alert(at, **about)).orders
        for agent in answers:
            await self.manager.answer(order, agent, status)
        return order

    async def attackers(self, at: float, *targets: str, agent: str = "web1", **fields: object) -> list[Taken]:
        """Alerts about these addresses, in one batch."""
        self.manager.clock.passed = at
        some = []
        for target in targets:
            self._taken += 1
            about = alert(
                agent=agent,
                id=f"a{at}-{self._taken}",
                data={"srcip": target, "dstuser": f"user{self._taken}"},
                **fields,
            )
            some.append(Sighting(alert=about, at=START + at))
        return await self.manager.dispatch.take(some)

    async def let_through(self, at: float, *targets: str, **fields: object) -> list[str]:
        """Those of these addresses for which an order is sent."""
        taken = await self.attackers(at, *targets, **fields)
        return [order.target for each in taken for order in each.orders]


def addresses(count: int, first: int = 0) -> list[str]:
    """Distinct attackers."""
    return [f"192.0.{number // 250}.{number % 250 + 1}" for number in range(first, first + count)]
