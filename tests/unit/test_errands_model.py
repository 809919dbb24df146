"""Scripts beside the executor, in stories that a seed tells: whatever comes, whatever crashes, the protocol is kept."""

import tempfile
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shared.messages import Expiry, Order
from tests.unit.an_errands_model import FIREWALL, NOTIFIER, SCRIPTS, ErrandsHost, World

SEEDS = (*range(40), 1565, 1598, 51705)  # something is interrupted while what it comes upon ends; see `told`
HOSTS = ("203.0.113.1", "203.0.113.2")
TIMEOUTS = (3.0, 30.0, 120.0)
ONE_SHOT = None
LONG = 700.0  # s: every order is over, and whatever failed has rested


class Story:
    """What comes, and what must be true whenever all has been done."""

    def __init__(self, folder: Path, seed: int, failing: float) -> None:
        self.dice, self.ids = Random(seed), count(1)
        self.world = World(seed, failing)
        self.host = ErrandsHost(folder, self.world)
        self.orders: dict[str, Order] = {}

    async def tell(self) -> None:
        """Some steps, then all that is to be done, and then the end of every order."""
        for step in self.steps():
            await step()
        await self.host.settle()
        self.agree()
        self.world.failing = 0.0
        for _ in range(2):  # what failed is tried again
            self.host.clock.pass_(LONG)
            await self.host.settle()
        self.agree()
        assert (self.host.known(), self.host.found()) == (set(), set())

    def steps(self) -> list[Callable[[], Awaitable[None]]]:
        often: dict[Callable[[], Awaitable[None]], int] = {
            self.order: 35,
            self.order_the_end: 10,
            self.repeat: 7,
            self.pass_time: 10,
            self.step_the_wall_clock: 3,
            self.turn: 10,
            self.begin: 12,
            self.let_one_go_on: 10,
            self.lift_by_hand: 2,
            self.kill: 4,
            self.reboot: 3,
        }
        return self.dice.choices(list(often), list(often.values()), k=self.dice.randrange(10, 50))

    async def order(self) -> None:
        action = self.dice.choice((SCRIPTS[0], *SCRIPTS, FIREWALL, NOTIFIER))
        if action == NOTIFIER:
            for _ in range(self.dice.choice((1, 1, 2, 5))):
                await self.take(self.for_a_script(action, (ONE_SHOT,)))
        else:
            await self.take(self.for_the_firewall() if action == FIREWALL else self.for_a_script(action))

    def for_the_firewall(self) -> Order:
        return self.host.add(f"a{next(self.ids)}", self.dice.choice(HOSTS), self.dice.choice(TIMEOUTS))

    def for_a_script(self, action: str, timeouts: tuple[float | None, ...] = (ONE_SHOT, *TIMEOUTS)) -> Order:
        """A one-shot has a deadline in its place, as managers send it."""
        order_id, timeout = f"a{next(self.ids)}", self.dice.choice(timeouts)
        said: dict[str, Any] = {"deadline": self.host.clock.wall() + 60.0} if timeout is ONE_SHOT else {}
        said |= {"action": action, "arguments": self.dice.choice(((), ("-v",))), "alert": {"id": order_id}}
        return self.host.add(order_id, self.dice.choice((*HOSTS, "")), timeout, **said)

    async def order_the_end(self) -> None:
        """Of one or two, of whatever action."""
        adds = [each for each in self.orders.values() if each.operation == "add"]
        if adds:
            some = self.dice.sample(adds, min(len(adds), self.dice.choice((1, 1, 2))))
            ids, first = [each.id for each in some], some[0]
            await self.take(self.host.delete(f"d{next(self.ids)}", *ids, action=first.action, target=first.target))

    async def repeat(self) -> None:
        if self.orders:
            await self.take(self.dice.choice(list(self.orders.values())))

    async def take(self, order: Order) -> None:
        self.orders[order.id] = order
        await self.host.take(order)

    async def pass_time(self) -> None:
        self.host.clock.pass_(self.dice.choice((0.5, 3.0, 31.0, 61.0)))

    async def step_the_wall_clock(self) -> None:
        self.host.clock.wall_at += self.dice.choice((-40.0, 40.0, 3600.0))

    async def turn(self) -> None:
        await self.host.executor.turn()

    async def begin(self) -> None:
        await self.host.begin()

    async def let_one_go_on(self) -> None:
        if waiting := self.world.waiting:
            await self.host.let_go_on(self.dice.choice(waiting))

    async def lift_by_hand(self) -> None:
        """Without waiting for it, as the control socket would."""
        target = self.dice.choice(HOSTS)
        await self.host.journal.lift(lambda hold: hold.target == target)

    async def kill(self) -> None:
        await self.host.kill()
        await self.host.restart()

    async def reboot(self) -> None:
        """Some of what scripts changed outlives it."""
        await self.host.kill()
        self.world.changed = {each for each in sorted(self.world.changed) if self.dice.random() < 0.5}
        self.world.told = set()
        await self.host.reboot(self.dice.choice((0.0, 10.0, 100.0)))

    def agree(self) -> None:
        assert not self.world.wrong
        assert not {order_id: often for order_id, often in self.world.one_shots.items() if often > 1}
        self.agree_on_answers()
        self.agree_on_ends()
        if not self.world.failing:
            assert self.host.found() == self.host.wanted()

    def agree_on_answers(self) -> None:
        """Every order has one, the same whenever it is told; only a stale one may have been taken anew."""
        for order_id in self.orders:
            told = {status for status, _ in self.host.answers(order_id)}
            assert told, order_id
            assert len(told - {"stale"}) <= 1, (order_id, told)

    def agree_on_ends(self) -> None:
        """What was put in force is held or has ended, and nothing else; an end is told again only as it was."""
        ends: dict[str, Expiry] = {}
        for each in self.host.said():
            if isinstance(each, Expiry):
                assert ends.setdefault(each.order_id, each) == each
        lasting = {each.id for each in self.orders.values() if self.lasts(each)}
        assert sorted([*self.host.held(), *ends]) == sorted(lasting)

    def lasts(self, order: Order) -> bool:
        """Whether it was put in force until an end."""
        answers = {status for status, _ in self.host.answers(order.id)}
        return order.operation == "add" and order.lasting and not answers.isdisjoint({"applied", "unchanged"})


@pytest.mark.parametrize("failing", [0.0, 0.3], ids=["that work", "some of which fail"])
@pytest.mark.parametrize("seed", SEEDS)
async def test_scripts_keep_the_protocol(seed: int, failing: float) -> None:
    """Each order is answered with one word, held or ended; a lane has one script at a time, no one-shot is run
    twice, what goes together is no more than fits, and what is in force is what the journal holds, in the end nothing.
    """
    with tempfile.TemporaryDirectory(prefix="thwart-", dir="/dev/shm") as folder:
        story = Story(Path(folder), seed, failing)
        try:
            await story.tell()
        finally:
            await story.host.kill()
            story.host.close()
