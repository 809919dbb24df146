"""The manager as a real process on a real broker, and hands that play agents: the judge is what the broker carries."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

from shared import codec, topology
from shared.broker import Consumer, Delivery, Publication, Publisher
from shared.messages import Acknowledgement, Cursor, Expiry, Heartbeat, Holds, LogBatch, LogLine, Message, Order
from shared.store import reading
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.process import Process
from tests.waiting import eventually, wait_for

THWART = Path(sys.executable).with_name("thwart")
ATTACKER = "203.0.113.9"
LISTED = "198.51.100.7"
COUNT = 3  # lines that make rule 5712 fire here

OSSEC_CONF = f"""
<ossec_config>
  <global><white_list>{LISTED}</white_list></global>
  <active-response>
    <command>firewall-drop</command>
    <location>all</location>
    <rules_id>5712</rules_id>
    <timeout>600</timeout>
    <repeated_offenders>20,40</repeated_offenders>
  </active-response>
</ossec_config>
"""
RULES = f"""
<group name="local,">
  <rule id="5712" level="10" frequency="{COUNT}" timeframe="120" overwrite="yes">
    <if_matched_sid>5710</if_matched_sid>
    <same_source_ip />
    <description>sshd: brute force</description>
  </rule>
</group>
"""

Kind = TypeVar("Kind", bound=Message)


class RunningManager:
    """`thwart manager` with a folder of its own, which a restart keeps."""

    def __init__(self, guard: Guard, broker: Broker, folder: Path, **settings: Any) -> None:
        self._guard, self.folder, self.log = guard, folder, folder / "manager.log"
        self.url = f"http://127.0.0.1:{_free_port()}"
        (folder / "ossec.conf").write_text(OSSEC_CONF)
        (folder / "rules.xml").write_text(RULES)
        self.environment = {
            "THWART_BROKER_URLS": broker.url,
            "THWART_BROKER_QUEUE_TYPE": broker.settings.queue_type,
            "THWART_MANAGER_STATE_DIR": str(folder / "state"),
            "THWART_MANAGER_OSSEC_CONF": str(folder / "ossec.conf"),
            "THWART_MANAGER_RULES": str(folder / "rules.xml"),
            "THWART_API_LISTEN": self.url.removeprefix("http://"),
            **{f"THWART_{key}".upper(): str(value) for key, value in settings.items()},
        }
        self.process: Process | None = None

    def start(self) -> None:
        """Returns when the API answers and the broker, if there is one, is connected."""
        self.process = Process(self._guard, [str(THWART), "manager"], self.log, self.environment)
        wait_for(self._answers, within=20)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        return self.process.stop()

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request to the API, with the token unless `headers` say otherwise."""
        headers = request.pop("headers", {"Authorization": f"Bearer {self.token}"})
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=10, trust_env=False, **request)

    def get(self, path: str) -> Any:
        """What GET answers, read."""
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def thwart(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The command line, pointed at this manager."""
        here = {
            "THWART_API_URL": self.url,
            "THWART_API_TOKEN_FILE": str(self.folder / "state" / "api.token"),
            **environment,
        }
        return subprocess.run(
            [str(THWART), *arguments],
            env={**os.environ, **here},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def fails(self, **change: str) -> subprocess.CompletedProcess[str]:
        """`thwart manager` with other settings, which ends by itself."""
        return subprocess.run(
            [str(THWART), "manager"],
            env={**os.environ, **self.environment, **change},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def rows(self, query: str, *values: object) -> list[Any]:
        """What the ledger's file says."""
        with reading(self.folder / "state" / "ledger.db") as connection:
            return [tuple(row) for row in connection.execute(query, values)]

    def said(self, action: str) -> list[dict[str, Any]]:
        """The log lines with this `action`."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event.get("action") == action]

    def metric(self, sample: str) -> float:
        """One sample of `/metrics`, by its name and labels; 0 when it isn't there."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{sample} ")]
        return float(found[0]) if found else 0.0

    @property
    def token(self) -> str:
        """That the manager made for itself."""
        return (self.folder / "state" / "api.token").read_text().split()[-1]

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.running, self.process.last_words()
        try:
            return self.call("GET", "/v1/health").status_code == 200
        except (httpx.HTTPError, FileNotFoundError):
            return False


class Hands:
    """Plays agents: publishes what they would, and takes the orders off their queues."""

    def __init__(self, broker: Broker, *agents: str, roles: Sequence[str] = ()) -> None:
        kind = broker.settings.queue_type
        queues = [topology.agent_queue(agent, tuple(roles), kind) for agent in agents]
        everything = (*topology.exchanges(), *topology.manager_queues(kind), *queues)
        self.publisher = Publisher(broker.settings, "hands", everything)
        self._consumer = Consumer(broker.settings, "hands", everything, [queue.name for queue in queues])
        self._roles = tuple(roles)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Hands":
        self._tasks = [asyncio.create_task(link.run()) for link in (self.publisher, self._consumer)]
        await asyncio.gather(self.publisher.connected.wait(), self._consumer.connected.wait())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def publish(self, exchange: str, key: str, body: bytes, kind: str = "", message_id: str = "") -> None:
        """Anything at all, confirmed."""
        await self.publisher.insist(
            Publication(exchange=exchange, routing_key=key, kind=kind, message_id=message_id, body=body)
        )

    async def say(self, word: str, agent: str, message: Message) -> None:
        """A message on `thwart.events`, under `<word>.<agent>`."""
        await self.publish(topology.EVENTS, f"{word}.{agent}", codec.encode(message), word)

    async def beat(self, agent: str, *holds: str, **said: Any) -> None:
        """A heartbeat."""
        now = time.time()
        fields = {
            "started_at": now - 100,
            "journal": f"journal-of-{agent}",
            "boot": "boot-1",
            "version": "0.1.0",
            "hostname": agent,
            "roles": self._roles,
            **said,
        }
        count = Holds.of(holds)
        await self.say("heartbeat", agent, Heartbeat(agent_id=agent, at=now, holds=count, **fields))

    async def answer(self, order: Order, agent: str, status: Any = "applied", **said: Any) -> None:
        """An acknowledgement."""
        now = time.time()
        fields: dict[str, Any] = {"detail": "new", "expires_at": order.expires_at, **said}
        message = Acknowledgement(
            order_id=order.id, agent_id=agent, status=status, received_at=now, settled_at=now, **fields
        )
        await self.say("acknowledgement", agent, message)

    async def end(self, order: Order, agent: str, outcome: Any = "reverted", cause: Any = "timeout") -> None:
        """An expiry."""
        message = Expiry(
            order_id=order.id,
            agent_id=agent,
            action=order.action,
            target=order.target,
            cause=cause,
            outcome=outcome,
            at=time.time(),
        )
        await self.say("expiry", agent, message)

    async def log(self, batch: LogBatch) -> None:
        """Ships log lines."""
        await self.publish(topology.LOGS, f"log.{batch.agent_id}", codec.encode(batch), "log")

    async def orders(self, agent: str, count: int = 1, within: float = 5.0) -> list[Order]:
        """The next `count` orders of an agent, acked; what it is told of the allowlist is passed over."""
        queue, taken = f"thwart.agent.{agent}", list[Delivery]()
        async with asyncio.timeout(within):
            while len(taken) < count:
                arrived = await self._consumer.batch(queue, count - len(taken))
                self._consumer.ack_through(arrived[-1])
                taken += [each for each in arrived if each.kind != topology.POLICY]
        return [codec.decode(delivery.body, Order) for delivery in taken]

    async def order(self, agent: str, within: float = 5.0) -> Order:
        """The next order of an agent."""
        (order,) = await self.orders(agent, 1, within)
        return order

    def idle(self, agent: str) -> bool:
        """True when no order waits for the agent here."""
        return all(each.kind == topology.POLICY for each in self._consumer._arrived[f"thwart.agent.{agent}"])


def attack(
    first: int = 0,
    count: int = COUNT,
    *,
    agent: str = "web1",
    source: str = ATTACKER,
    file: str = "1:2",
    at: float = 0.0,
) -> LogBatch:
    """Lines of a real sshd about an unknown user, the `first` one at that place in its file; 100 bytes each."""
    at = at or time.time()
    lines = [
        LogLine(
            text=f"Dec 10 06:55:{number % 60:02} web1 sshd[24200]: Failed password for invalid user u{number} "
            f"from {source} port {40_000 + number} ssh2",
            at=at,
            offset=100 * number,
        )
        for number in range(first, first + count)
    ]
    cursor = Cursor(file=file, first=100 * first, next=100 * (first + count))
    return LogBatch(agent_id=agent, source="/var/log/auth.log", lines=tuple(lines), collected_at=at, cursor=cursor)


async def state_of(manager: RunningManager, order: Order, wanted: dict[str, str], within: float = 5.0) -> None:
    """Waits until the agents of an order are in these states."""

    def states() -> bool:
        story = manager.get(f"/v1/orders/{order.id}")
        return {each["agent_id"]: each["state"] for each in story["view"]["agents"]} == wanted

    await eventually(states, within)


async def known(manager: RunningManager, *agents: str) -> None:
    """Waits until these agents are living."""

    def living() -> bool:
        return {each["id"] for each in manager.get("/v1/agents")["agents"] if each["state"] == "living"} >= set(agents)

    await eventually(living)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
