"""Agents by the hundred in one process: each with its own two links, queue, lock, heartbeats and answers.

The links, what they declare, how they come back and the heartbeats are the agent's own code. Simulated is what it does
with an order: nothing is carried out, and its journal and outbox are in memory, so that no disk is written.

A script: `URL FIRST COUNT [raw]`. Each line of input is answered with one line of JSON, a `State`. With `raw` they also
answer as `raw_round` wants it.
"""

import asyncio
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from agent import app, host
from agent.heartbeat import Heartbeats, Self
from agent.journal import policy
from agent.metrics import AgentMetrics
from agent.trouble import Trouble
from shared import codec, log, topology
from shared.broker import Delivery, Publication
from shared.clock import SystemClock
from shared.errors import BrokerError
from shared.messages import Acknowledgement, Holds, Order
from shared.settings import BrokerSettings, LogSettings
from tests.stage import raw_round

# What a Debian host with nftables says of itself, so that heartbeats are as long as real ones.
CARRIED = {
    "firewall-drop": "nftables",
    "host-deny": "hosts.deny",
    "disable-account": "passwd",
    "route-null": "iproute2",
    "restart-wazuh": "systemd",
    "slack": "webhook",
}
LACKING = {
    "firewalld-drop": "firewall-cmd: not found",
    "ipfw": "ipfw: not found",
    "npf": "npfctl: not found",
    "pf": "pfctl: not found",
    "netsh.exe": "this is no Windows",
    "route-null.exe": "this is no Windows",
}
LABELS = {"service": "agent", "image": "thwart-agent", "host": "docker1"}


class State(Struct, frozen=True, kw_only=True):
    """What the agents of one process have come to."""

    agents: int
    connected: int  # with both links
    since: float  # Unix seconds when the last of these came to be so; 0 while there are none
    answered: int  # orders whose answer is confirmed, each once for each agent
    repeated: int  # orders that came again
    connections: int  # made so far, by all of them


def name(number: int) -> str:
    """The id of an agent; as long as that of a replica."""
    return f"simulated-{number:08}"


class Memory:
    """What an agent's journal is asked for a heartbeat, in memory."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.version = 0  # of the allowlist
        self.held: dict[str, Publication] = {}  # answers by order, none of which ends while this is measured
        self.answers: dict[str, Publication] = {}  # not confirmed yet
        self._holds = Holds.of(())

    def hold(self, order_id: str, answer: Publication) -> bool:
        """False for an order that it has already; that gets the same answer again."""
        fresh = order_id not in self.held
        if fresh:
            self.held[order_id] = answer
            self._holds = Holds.of(self.held)
        self.answers[order_id] = self.held[order_id]
        return fresh

    async def holds(self, at: float) -> Holds:
        return self._holds

    async def unsent(self) -> int:
        return len(self.answers)

    async def outlived(self) -> int:
        return 0

    async def effects(self) -> dict[str, int]:
        return {"firewall-drop": len(self.held)}


class _Abilities:
    """What the host can carry out: in the places of actions and slow actions."""

    unsupported, passed_over = LACKING, dict[str, str]()

    def backends(self) -> dict[str, str]:
        return CARRIED

    def look(self) -> Sequence[Any]:
        return ()


class SimulatedAgent:
    """One of them."""

    def __init__(self, settings: BrokerSettings, number: int, *, raw: bool = False) -> None:
        self.id, self.memory = name(number), Memory()
        queue, lock = topology.agent_queue(self.id, (), settings.queue_type), topology.agent_lock(self.id)
        self._queue = queue.name
        if raw:
            self.publisher, self.consumer = raw_round.links(settings, self.id, lock, queue)
        else:
            self.publisher, self.consumer = app.REAL.publisher(settings), app.REAL.consumer(settings, lock, queue)
        self.answered = self.repeated = 0
        self.connected_at = 0.0
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in (self.publisher.run(), self.consumer.run(), self._take(), self._answer(), self._heartbeats()):
                group.create_task(each)

    @property
    def connected(self) -> bool:
        """Whether both of its links are."""
        return self.publisher.connected.is_set() and self.consumer.connected.is_set()

    async def _heartbeats(self) -> None:
        said = _heartbeats(self)
        beat = self.publisher.when_connected

        def connected() -> None:
            self.connected_at = time.time()
            beat()

        self.publisher.when_connected = self.consumer.when_connected = connected
        await said.run()

    async def _take(self) -> None:
        """As the inbox does: written down first, which is in memory here, then acked."""
        while True:
            deliveries = await self.consumer.batch(self._queue)
            for each in deliveries:
                self._keep(each)
            self.consumer.ack_through(deliveries[-1])
            self._news.set()

    def _keep(self, delivery: Delivery) -> None:
        if delivery.kind == topology.POLICY:
            self.memory.version = policy.ruling(delivery.body).version
            return
        order = codec.decode(delivery.body, Order)
        self.repeated += not self.memory.hold(order.id, self._said(order))

    async def _answer(self) -> None:
        """As the outbox does: sent until it is confirmed."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self.memory.answers:
                await self.publisher.writable()
                some = dict(self.memory.answers)
                sent = [self.publisher.send(each) for each in some.values()]
                for order_id, outcome in zip(some, await asyncio.gather(*sent, return_exceptions=True), strict=True):
                    if not isinstance(outcome, BrokerError):
                        del self.memory.answers[order_id]
                        self.answered += 1

    def _said(self, order: Order) -> Publication:
        now = time.time()
        answer = Acknowledgement(
            order_id=order.id,
            agent_id=self.id,
            status="applied",
            detail="new",
            received_at=now,
            settled_at=now,
            expires_at=order.expires_at,
        )
        return Publication(
            exchange=topology.EVENTS,
            routing_key=f"acknowledgement.{self.id}",
            kind="acknowledgement",
            message_id=order.id,
            body=codec.encode(answer),
        )


def _heartbeats(agent: SimulatedAgent) -> Heartbeats:
    """The agent's own, over what is simulated."""
    me = Self(
        agent_id=agent.id,
        boot=host.boot_id(),
        started_at=time.time(),
        hostname=agent.id,
        roles=(),
        labels=LABELS,
    )
    abilities = cast(Any, _Abilities())
    return Heartbeats(
        me,
        cast(Any, agent.memory),
        cast(Any, agent.memory),  # of the admission it asks the allowlist's version alone
        agent.publisher,
        agent.consumer,
        agent._queue,
        SystemClock(),
        drift=lambda: 0,
        actions=abilities,
        slow=abilities,
        metrics=METRICS,
        trouble=Trouble(),
    )


METRICS = AgentMetrics()  # one for all: nobody looks at it


def state(agents: Sequence[SimulatedAgent]) -> State:
    """Of all of them together."""
    connected = [each for each in agents if each.connected]
    return State(
        agents=len(agents),
        connected=len(connected),
        since=max((each.connected_at for each in connected), default=0.0),
        answered=sum(each.answered for each in agents),
        repeated=sum(each.repeated for each in agents),
        connections=sum(each.publisher.connections + each.consumer.connections for each in agents),
    )


async def _asked(agents: Sequence[SimulatedAgent]) -> None:
    """Answers what comes on standard input until that ends."""
    reader, loop = asyncio.StreamReader(), asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        print(msgspec.json.encode(state(agents)).decode(), flush=True)


async def _run(url: str, first: int, count: int, *, raw: bool) -> None:
    settings = BrokerSettings(urls=(url,))
    agents = [SimulatedAgent(settings, first + number, raw=raw) for number in range(count)]
    tasks = [asyncio.create_task(each.run()) for each in agents]
    asked = asyncio.create_task(_asked(agents))
    done, _ = await asyncio.wait([*tasks, asked], return_when=asyncio.FIRST_COMPLETED)
    for each in done:
        each.result()


def main(url: str, first: str, count: str, *words: str) -> None:
    """Until its input ends, or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    log.configure(LogSettings(level="error", format="text"))
    asyncio.run(_run(url, int(first), int(count), raw="raw" in words))


if __name__ == "__main__":
    main(*sys.argv[1:])
