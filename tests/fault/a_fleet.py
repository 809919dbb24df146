"""A manager and agents, each the real daemon in a process of its own, any of which may be killed where it hurts most.

They are judged from outside: by the kernel as nft lists it, by both SQLite files, and by what the broker carried.
"""

import asyncio
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import to_builtins

from manager.api.bodies.blocks import Given
from manager.up.plan import written
from shared import codec, topology
from shared.messages import Acknowledgement, Expiry, Heartbeat, LogBatch, Order
from shared.store import reading
from tests.fault.kernel_history import KernelHistory
from tests.fault.queues import Queues
from tests.integration.a_manager_daemon import ATTACKER, Hands, RunningManager
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.judge import Judge
from tests.stage.network import Host, Network
from tests.stage.process import Process
from tests.waiting import wait_for

READY = 20.0  # s for a daemon to be of use
TIMEOUT = 5.0  # s: of the blocks that log lines lead to; a manager that was killed is back within two
OSSEC_CONF = f"""
<ossec_config>
  <active-response>
    <command>firewall-drop</command>
    <location>all</location>
    <rules_id>5712</rules_id>
    <timeout>{TIMEOUT:.0f}</timeout>
  </active-response>
</ossec_config>
"""


class Agent:
    """A daemon whose settings, state and log stay while its process comes and goes; and its host's kernel."""

    def __init__(self, guard: Guard, broker: Broker, judge: Judge, host: Host, folder: Path) -> None:
        folder.mkdir()
        self.name, self.host, self.state = host.name, host, folder / "state"
        self.queue = f"thwart.agent.{host.name}"
        self.kernel = KernelHistory(host)
        self._guard, self._judge = guard, judge
        self._config, self._log, self._mark = folder / "agent.toml", folder / "agent.log", folder / "stopped"
        section = {"id": self.name, "state_dir": str(self.state)}
        settings = {"broker": to_builtins(broker.settings), "agent": section, "metrics": {"listen": ""}}
        self._config.write_text(written(settings))
        self.environment: dict[str, str] = {}
        self.wrapper: tuple[str, ...] = ()
        self.refused: list[str] = []  # hosts that its kernel has nothing to do with
        self._process: Process | None = None
        self._began, self._stops_at = 0.0, ""

    def __str__(self) -> str:
        """For the messages of failing tests."""
        return self.name + (f" (killed at: {self._stops_at})" if self._stops_at else "")

    def start(self, stop_at: str = "") -> None:
        """Returns at once; `stop_at` is one of `an_agent_that_stops.POINTS`."""
        self._mark.unlink(missing_ok=True)
        self._began, self._stops_at = time.time(), stop_at or self._stops_at
        module, more = "tests.stage.agent_elsewhere", []
        if stop_at:
            module, more = "tests.fault.an_agent_that_stops", [str(self._mark), stop_at]
        elif self.refused:
            module, more = "tests.fault.an_agent_that_is_refused", self.refused
        command = [sys.executable, "-m", module, str(self.host.path), str(self._config), *more]
        self._process = Process(self._guard, [*self.wrapper, *command], self._log, self.environment)

    def ready(self) -> None:
        """Returns when the process that was started last has said that it is there."""
        wait_for(lambda: any(each.started_at >= self._began for each in self._heartbeats()), READY)

    def stopped(self) -> bool:
        """True once it has come to the point at which it was to stop."""
        assert self.process.running or self._mark.exists(), self.process.last_words()
        return self._mark.exists()

    def kill_where_it_stops(self) -> None:
        """SIGKILL, as soon as it has come to the point."""
        wait_for(self.stopped, READY)
        self.process.kill()

    def go_on(self) -> None:
        """Lets it run on from the point."""
        self._mark.unlink()

    @property
    def process(self) -> Process:
        """The latest one."""
        assert self._process is not None
        return self._process

    def answers(self, order: Order | str) -> list[Acknowledgement]:
        """What it said to an order, or to an id, each message that came."""
        return [each for each in self._judge.heard(Acknowledgement) if self._says(each, order)]

    def ends(self, order: Order) -> list[Expiry]:
        """What it said about the end of an order, each message that came."""
        return [each for each in self._judge.heard(Expiry) if self._says(each, order)]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the journal's file says."""
        with reading(self.state / "journal.db") as connection:
            return [tuple(row) for row in connection.execute(query)]

    def owes_nothing(self) -> bool:
        """True when the journal has no order left to carry out, nothing in force and nothing to say."""
        open_ones = "SELECT id FROM orders WHERE status IS NULL"
        left = (open_ones, "SELECT key FROM effects", "SELECT order_id FROM holders", "SELECT seq FROM outbox")
        return not any(self.rows(query) for query in left)

    def _says(self, said: Acknowledgement | Expiry, order: Order | str) -> bool:
        order_id = order if isinstance(order, str) else order.id
        return (said.order_id, said.agent_id) == (order_id, self.name)

    def _heartbeats(self) -> list[Heartbeat]:
        return [each for each in self._judge.heard(Heartbeat) if each.agent_id == self.name]


class Manager(RunningManager):
    """The manager, which may be made to stop at a point too."""

    def __init__(self, guard: Guard, broker: Broker, folder: Path, **settings: Any) -> None:
        folder.mkdir()
        super().__init__(guard, broker, folder, **settings)
        (folder / "ossec.conf").write_text(OSSEC_CONF)
        self._mark = folder / "stopped"

    def start(self, stop_at: str = "") -> None:
        """Returns when the API answers; `stop_at` is one of `a_manager_that_stops.POINTS`."""
        if not stop_at:
            super().start()
            return
        self._mark.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.fault.a_manager_that_stops", str(self._mark), stop_at]
        self.process = Process(self._guard, command, self.log, self.environment)
        wait_for(self._answers, READY)

    def kill_where_it_stops(self) -> None:
        """SIGKILL, as soon as it has come to the point."""
        wait_for(self.stopped, READY)
        self.kill()

    def stopped(self) -> bool:
        """True once it has come to the point at which it was to stop."""
        return self._mark.exists()

    def go_on(self) -> None:
        """Lets it run on from the point."""
        self._mark.unlink()

    def states(self, order: Order) -> dict[str, str]:
        """What the ledger's file says about an order, by agent."""
        return dict(self.rows("SELECT agent_id, state FROM order_agents WHERE order_id = ?", order.id))

    def owes_nothing(self) -> bool:
        """True when nobody's answer is waited for and nothing is to be sent."""
        return not self.rows("SELECT 1 FROM order_agents WHERE state = 'waiting'") + self.rows("SELECT 1 FROM outbox")


class Fleet:
    """What the fixture `fleet` gives: a manager that runs, hosts with agents, and somebody who hears everything."""

    def __init__(self, guard: Guard, broker: Broker, network: Network, folder: Path) -> None:
        self.broker = broker
        self._guard, self._network, self._folder = guard, network, folder
        self.judge, self.queues = Judge(broker.url, lasting=True), Queues(broker)
        self.manager = Manager(guard, broker, folder / "manager")
        self.agents: list[Agent] = []

    def agent(self, name: str) -> Agent:
        """An agent on a host of its own that doesn't run yet."""
        host = self._network.host(name, 11 + len(self.agents))
        self.agents.append(Agent(self._guard, self.broker, self.judge, host, self._folder / name))
        return self.agents[-1]

    def start(self, *names: str) -> list[Agent]:
        """Agents that run, that the manager calls living, and that have taken all that it sends to who joins."""
        some = [self.agent(name) for name in names]
        for agent in some:
            agent.start()
        self.know(*some)
        for agent in some:
            wait_for(lambda agent=agent: agent.rows("SELECT version FROM policy"), READY)
        self.queues.empty(*(agent.queue for agent in some))
        return some

    def start_one_for_each(self, points: Sequence[str]) -> list[Agent]:
        """The same; each of them stops at another of `points`."""
        some = [self.agent(f"web{number}") for number, _ in enumerate(points, 1)]
        for agent, point in zip(some, points, strict=True):
            agent.start(stop_at=point)
        self.know(*some)
        return some

    def know(self, *some: Agent) -> None:
        """Returns when the process of each that was started last is known to the manager."""
        for each in some:
            each.ready()
        wait_for(lambda: {each.name for each in some} <= self._living(), READY)

    def close(self) -> None:
        """The processes are the guard's."""
        for agent in self.agents:
            agent.kernel.close()
        self.judge.close()

    def block(self, target: str = ATTACKER, timeout: float = TIMEOUT, *agents: Agent, request: str = "") -> Order:
        """A person's order, for these agents or for all."""
        place = {"location": "agent", "agents": [each.name for each in agents]} if agents else {"location": "all"}
        (order,) = self._ask("/v1/blocks", request, address=target, timeout=timeout, **place)
        return order

    def unblock(self, target: str = ATTACKER) -> Order:
        """A person's order to lift what is on `target`."""
        (order,) = self._ask("/v1/unblocks", "", address=target)
        return order

    def log(self, batch: LogBatch) -> None:
        """Ships log lines as an agent would."""
        self.publish(topology.LOGS, f"log.{batch.agent_id}", "log", codec.encode(batch))

    def orders(self, agent: Agent, *some: Order) -> None:
        """Sends orders to an agent past the manager."""
        self.raw(agent, *map(codec.encode, some))

    def raw(self, agent: Agent, *bodies: bytes) -> None:
        """Anything at all, as if it were orders."""
        self.publish(topology.ORDERS, f"agent.{agent.name}", "order", *bodies)

    def publish(self, exchange: str, key: str, kind: str, *bodies: bytes) -> None:
        """The broker has all of it, in this order, on return."""

        async def once() -> None:
            async with Hands(self.broker) as hands:
                await asyncio.gather(*(hands.publish(exchange, key, body, kind) for body in bodies))

        asyncio.run(once())

    def take_away(self, *some: Agent) -> list[Order]:
        """Takes the next order of each of these agents, none of which runs, off its queue."""

        async def once() -> list[Order]:
            async with Hands(self.broker, *(agent.name for agent in some)) as hands:
                return [await hands.order(agent.name) for agent in some]

        return asyncio.run(once())

    def given(self, count: int = 1) -> list[Order]:
        """The first orders that were sent, once there are so many."""
        return self.judge.wait(lambda: self.judge.orders, count, READY)

    def all_is_said(self) -> None:
        """Returns when nobody has anything left to do or to say, and all that was said has been heard."""
        for each in (self.manager, *self.agents):
            wait_for(each.owes_nothing, READY)
        word = secrets.token_hex(8)
        last = Acknowledgement(order_id=word, agent_id="nobody", status="stale", received_at=0, settled_at=0)
        self.publish(topology.EVENTS, "for-the-judge-alone", "acknowledgement", codec.encode(last))
        wait_for(lambda: any(each.order_id == word for each in self.judge.heard(Acknowledgement)), READY)
        own = (agent.queue for agent in self.agents)
        self.queues.empty(*own, topology.MANAGER_EVENTS, topology.MANAGER_LOGS, topology.MANAGER_DEAD)

    def _living(self) -> set[str]:
        return {each["id"] for each in self.manager.get("/v1/agents")["agents"] if each["state"] == "living"}

    def _ask(self, path: str, request: str, **wish: Any) -> Sequence[Order]:
        answer = self.manager.call("POST", path, json={"request_id": request or secrets.token_hex(8), **wish})
        assert answer.is_success, answer.text
        return msgspec.json.decode(answer.content, type=Given).orders
