"""Tells the fleet its stories, from outside: asks the API and publishes, each again and again until it is accepted.

What is accepted is written down with the orders that came of it; nothing else here is judged by.
"""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence

import httpx
import msgspec

from manager.api.bodies.blocks import Given
from shared import codec, topology
from shared.broker import Publication, Publisher
from shared.ids import digest
from shared.messages import Order
from shared.settings import BrokerSettings
from tests.stage import enter
from tests.torture.a_fleet import LIMIT, Fleet
from tests.torture.history import Asked
from tests.torture.plan import Echo, Step, Story

AGAIN = 0.25  # s until what was not accepted is sent again
UNTIL_LIFTED = 30 * 86_400.0  # s: the deadline of what has no end
NOT_NOW = (500, 502, 503, 504)


class Load:
    """Runs in a thread of its own from `start` on; every story that was begun is told to its end."""

    def __init__(self, fleet: Fleet, seed: int, stories: Iterator[Story], echoes: Iterator[Echo]) -> None:
        self._fleet, self._seed, self._stories, self._echoes = fleet, seed, stories, echoes
        self._asked: dict[str, Asked] = {}
        self.told = 0  # stories that were begun
        self.repeated = 0  # bodies that were published again
        self.asking = 0  # requests that are, or were, on their way
        self._enough, self._ready = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()
        self._ready.wait()

    def tell(self, story: Story) -> None:
        """One more story, at once; from any thread."""
        self._loop.call_soon_threadsafe(lambda: self._group.create_task(self._tell(story)))

    def enough(self) -> None:
        """Begins no new story."""
        self._enough.set()

    def finish(self, within: float) -> None:
        """Returns when every story is over. Raises what ended it, or AssertionError when it takes longer."""
        self.enough()
        self._thread.join(within)
        if self._failure is not None:
            raise self._failure
        assert not self._thread.is_alive(), f"not everything was accepted within {within:.0f} s"

    @property
    def asked(self) -> list[Asked]:
        """What was accepted so far."""
        return list(self._asked.values())

    def _run(self) -> None:
        enter.set_network(self._fleet.outside.path)
        try:
            asyncio.run(self._tell_all())
        except BaseException as error:
            self._failure = error

    async def _tell_all(self) -> None:
        self._publisher = Publisher(BrokerSettings(urls=(self._fleet.broker.url,)), "load", topology.exchanges())
        publishing = asyncio.create_task(self._publisher.run())
        async with httpx.AsyncClient(timeout=LIMIT, trust_env=False) as self._http:
            echoing = asyncio.create_task(self._echo())
            async with asyncio.TaskGroup() as self._group:
                self._loop = asyncio.get_running_loop()
                self._ready.set()
                for story in self._stories:
                    await asyncio.sleep(story.pause)
                    if self._enough.is_set():
                        break
                    self.told += 1
                    self._group.create_task(self._tell(story))
        for task in (echoing, publishing):
            task.cancel()
        await asyncio.gather(echoing, publishing, return_exceptions=True)

    async def _tell(self, story: Story) -> None:
        for step in story.steps:
            await asyncio.sleep(step.pause)
            match step.verb:
                case "block" | "ask again":
                    await self._block(story, step)
                case "unblock":
                    request = {"request_id": self._name(story, step.name + "-lifted"), "address": story.target}
                    await self._ask("/v1/unblocks", request)
                case "publish" | "publish delete":
                    await asyncio.gather(*(self._publish(each) for each in self._foreign(story, step)))

    async def _block(self, story: Story, step: Step) -> None:
        name = step.of or step.name
        timeout = next(each.timeout for each in story.steps if each.name == name and each.verb == "block")
        request = {
            "request_id": self._name(story, name),
            "address": story.target,
            "location": "agent" if story.agents else "all",
            "agents": story.agents,
            "timeout": "forever" if timeout is None else timeout,
        }
        await self._ask("/v1/blocks", request)

    async def _ask(self, path: str, request: dict[str, object]) -> None:
        """Until it is accepted. Nobody can tell whether what had no answer was."""
        while True:
            self.asking += 1
            try:
                answer = await self._http.post(f"{self._fleet.url}{path}", json=request, headers=self._fleet.headers)
            except httpx.HTTPError:
                await asyncio.sleep(AGAIN)
                continue
            if answer.is_success:
                for order in msgspec.json.decode(answer.content, type=Given).orders:
                    self._write_down(order, "api")
                return
            assert answer.status_code in NOT_NOW, answer.text
            await asyncio.sleep(AGAIN)

    def _foreign(self, story: Story, step: Step) -> list[Order]:
        """Orders of another correlator's, who knows nothing of the manager."""
        now, delete = time.time(), step.verb == "publish delete"
        name = self._name(story, step.name)
        timeouts = [None if step.timeout is None else step.timeout + number / 10 for number in range(step.count)]
        return [
            Order(
                id=f"{name}-{number}" if number else name,
                operation="delete" if delete else "add",
                action="firewall-drop",
                location="agent" if story.agents else "all",
                agents=story.agents,
                target=story.target,
                lifts=(self._name(story, step.of),) if delete else (),
                timeout=timeout,
                issued_at=now,
                deadline=now + (timeout or UNTIL_LIFTED),
                expires_at=None if timeout is None else now + timeout,
                alert={"full_log": "x" * step.bulk} if step.bulk else {},
                issuer="another correlator",
            )
            for number, timeout in enumerate(timeouts)
        ]

    async def _publish(self, order: Order) -> None:
        """Without a time to live: every agent that it is for has to answer it, late or not."""
        self.asking += 1
        await self._send(order)
        self._write_down(order, "amqp")

    async def _send(self, order: Order) -> None:
        for key in topology.order_keys(order):
            await self._publisher.insist(
                Publication(
                    exchange=topology.ORDERS,
                    routing_key=key,
                    kind="order",
                    message_id=order.id,
                    body=codec.encode(order),
                )
            )

    async def _echo(self) -> None:
        """Publishes recorded bodies again: an order that comes twice is one order."""
        for echo in self._echoes:
            await asyncio.sleep(echo.pause)
            recorded = self._fleet.judge.orders
            if recorded and not self._enough.is_set():
                last = int((1 - echo.back) * (len(recorded) - 1)) + 1
                for order in recorded[max(0, last - echo.count) : last]:
                    await self._send(order)
                    self.repeated += 1

    def _write_down(self, order: Order, by: "str") -> None:
        agents: Sequence[str] = order.agents or tuple(self._fleet.agents)
        asked = Asked(order=order, by="api" if by == "api" else "amqp", at=time.time(), agents=tuple(agents))
        self._asked.setdefault(order.id, asked)

    def _name(self, story: Story, name: str) -> str:
        """A request's or an order's id: of this run alone, so that it can be told where it comes from."""
        return f"{digest(self._seed, story.number)[:16]}-{story.number}-{name}"
