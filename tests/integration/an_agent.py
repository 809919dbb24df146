"""A real agent daemon on a real broker, whose firewall is a namespace's; and what a manager would send it."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from agent.actions.firewall_drop.nftables import Nftables
from manager.up.plan import written
from shared import codec, topology
from shared.broker import Consumer, Delivery, Publication, Publisher
from shared.messages import Acknowledgement, Expiry, Heartbeat, Message, Order
from shared.outbox import unsent
from shared.store import reading
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.judge import Judge
from tests.stage.network import Host
from tests.stage.process import Process
from tests.waiting import eventually

COMMAND = Path(sys.executable).with_name("thwart-agent")
NAME = "web1"


class AnAgent:
    """The daemon `web1`: its settings, state and log stay, its process comes and goes. Knows what the broker hears."""

    def __init__(self, guard: Guard, broker: Broker, host: Host, folder: Path, **agent: Any) -> None:
        self._guard, self._broker, self.host = guard, broker, host
        self.config, self.log, self.state = folder / "agent.toml", folder / "agent.log", folder / "state"
        section = {"id": NAME, "state_dir": str(self.state), **agent}
        settings = {"broker": {"urls": [broker.url]}, "agent": section, "metrics": {"listen": "127.0.0.1:0"}}
        self.config.write_text(written(settings))
        self.module, self.environment = "tests.stage.agent_elsewhere", dict[str, str]()
        self._process: Process | None = None
        self.judge = Judge(broker.url)
        self._publisher = Publisher(broker.settings, "test", topology.exchanges())
        self._publishing: asyncio.Task[None] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", self.module, str(self.host.path), str(self.config)]
        self._process = Process(self._guard, command, self.log, self.environment)

    async def started(self) -> None:
        """Starts it and returns when its queue is there to be sent to."""
        before = len(self.heartbeats())
        self.start()
        await eventually(lambda: len(self.heartbeats()) > before, 15)

    def start_powerless(self) -> None:
        """The real command on the host, without the capability that a firewall needs."""
        command = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", str(COMMAND), "run"]
        self._process = Process(self._guard, [*self.host.inside, *command, "--config", str(self.config)], self.log)

    def stop(self) -> int:
        return self.process.stop()

    @property
    def process(self) -> Process:
        """The latest one."""
        assert self._process is not None, "it was never started"
        return self._process

    async def send(self, *orders: Order, key: str = f"agent.{NAME}") -> None:
        """Returns when the broker has them."""
        await self._publish(key, "order", [codec.encode(order) for order in orders])

    async def send_raw(self, *bodies: bytes) -> None:
        """Whatever it is; the judge doesn't look at it."""
        await self._publish(f"agent.{NAME}", "anything", bodies)

    async def _publish(self, key: str, kind: str, bodies: Sequence[bytes]) -> None:
        await self._connected()
        await asyncio.gather(*(self._publisher.send(_message(key, kind, body)) for body in bodies))

    async def _connected(self) -> None:
        if self._publishing is None:
            self._publishing = asyncio.create_task(self._publisher.run())
        await self._publisher.writable()

    def command(self, *words: str) -> Any:
        """What `thwart-agent WORDS -o json` says on the host, where there is no broker. Raises ThwartError."""
        return json.loads(self.host.run(str(COMMAND), *words, "--config", str(self.config), "-o", "json"))

    def in_force(self) -> dict[str, float | None]:
        """What the kernel drops: seconds left by address, None for until lifted."""
        return self.host.call(lambda: Nftables().inspect())

    def answers(self, order: Order | str) -> list[Acknowledgement]:
        """What it said to an order, each message that came."""
        wanted = order if isinstance(order, str) else order.id
        return [each for each in self.judge.heard(Acknowledgement) if each.order_id == wanted]

    def ends(self, order: Order) -> list[Expiry]:
        return [each for each in self.judge.heard(Expiry) if each.order_id == order.id]

    def heartbeats(self) -> list[Heartbeat]:
        return self.judge.heard(Heartbeat)

    async def answered(self, order: Order | str, count: int = 1) -> Acknowledgement:
        """Its latest answer, once there are `count`."""
        return (await eventually(lambda: len(self.answers(order)) >= count and self.answers(order), 10))[-1]

    async def ended(self, order: Order, within: float = 10.0) -> Expiry:
        return (await eventually(lambda: self.ends(order), within))[-1]

    def logged(self, action: str) -> list[dict[str, Any]]:
        """What it logged about one thing."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("action") == action]

    def metrics(self) -> str:
        """What `/metrics` answers."""
        with urlopen(self.logged("metrics")[-1]["address"], timeout=5) as answer:
            return str(answer.read(), "utf-8")

    async def delete_queue(self) -> None:
        """As an operator would, with the broker's own tools."""
        await self._connected()
        channel = await self._publisher.channel()
        channel.queue_delete(f"thwart.agent.{NAME}")

    def unsent(self) -> int:
        """Rows of its outbox."""
        with reading(self.state / "journal.db") as connection:
            return unsent(connection)

    async def kept_for_managers(self, count: int) -> list[Message]:
        """The first answers and ends in the managers' own queue, which outlives the broker."""
        queues = topology.manager_queues("classic")
        everything = (*topology.exchanges(), *queues)
        consumer = Consumer(self._broker.settings, "manager", everything, [topology.MANAGER_EVENTS])
        consuming = asyncio.create_task(consumer.run())
        kept: list[Delivery] = []
        async with asyncio.timeout(30):
            while len(kept) < count:
                kept += await consumer.batch(topology.MANAGER_EVENTS)
        consuming.cancel()
        await asyncio.wait([consuming])
        kinds: dict[str, type[Message]] = {"acknowledgement": Acknowledgement, "expiry": Expiry}
        return [codec.decode(each.body, kinds[each.kind]) for each in kept]

    async def close(self) -> None:
        self.judge.close()
        if self._publishing is not None:
            self._publishing.cancel()
            await asyncio.wait([self._publishing])


def an_order(order_id: str, target: str = "203.0.113.9", timeout: float | None = 600.0, **said: Any) -> Order:
    now = time.time()
    span = timeout if timeout is not None else 30 * 86_400.0
    fields = {
        "operation": "add",
        "action": "firewall-drop",
        "location": "agent",
        "agents": (NAME,),
        "issued_at": now,
        "deadline": now + span,
        "timeout": timeout,
        "expires_at": None if timeout is None else now + timeout,
        **said,
    }
    return Order(id=order_id, target=target, **fields)


def a_delete(order_id: str, *lifts: str, target: str = "203.0.113.9", **said: Any) -> Order:
    return an_order(order_id, target, None, operation="delete", lifts=lifts, **said)


def _message(key: str, kind: str, body: bytes) -> Publication:
    return Publication(exchange=topology.ORDERS, routing_key=key, kind=kind, message_id="", body=body)
