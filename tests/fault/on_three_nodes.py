"""A manager and agents, each the real daemon, on three RabbitMQ nodes; and somebody who orders all the time."""

import ipaddress
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
from msgspec import to_builtins

from agent.actions.firewall_drop.nftables import Nftables
from manager.up.plan import written
from shared.settings import BrokerSettings
from tests.integration.a_manager_daemon import RunningManager
from tests.stage.deployed_broker import Cluster, DeployedBroker
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.stage.process import Process
from tests.waiting import wait_for

AGENTS = ("web1", "web2", "web3")
TIMEOUT = 3_600.0  # s: nothing ends while it is looked at
PACE = 0.05  # s between two orders
SOME = 60  # orders: enough to show that they get through
FIRST = ipaddress.ip_address("198.18.0.1")
CATCH_UP = 60.0  # s for everything to be answered, once all nodes are back


class Daemons:
    """They run from the start on, each with the login of its kind and the URLs of all nodes."""

    def __init__(self, guard: Guard, cluster: Cluster, network: Network, folder: Path, **broker: str) -> None:
        """`broker` is more of the daemons' section of that name."""
        self.cluster = cluster
        urls = {who: cluster.secrets.urls(who) for who in ("manager", "agents")}
        (folder / "manager").mkdir()
        self.manager = RunningManager(
            guard,
            SimpleNamespace(url=",".join(urls["manager"]), settings=BrokerSettings(queue_type="quorum")),
            folder / "manager",
            **{f"broker_{key}": said for key, said in broker.items()},
        )
        self.manager.start()
        self.hosts = {name: network.host(name, 11 + number) for number, name in enumerate(AGENTS)}
        section = to_builtins(BrokerSettings(urls=urls["agents"], queue_type="quorum")) | broker
        for name, host in self.hosts.items():
            config = folder / f"{name}.toml"
            agent = {"id": name, "state_dir": str(folder / name)}
            config.write_text(written({"broker": section, "agent": agent, "metrics": {"listen": ""}}))
            command = [sys.executable, "-m", "tests.stage.agent_elsewhere", str(host.path), str(config)]
            Process(guard, command, folder / f"{name}.log")
        wait_for(lambda: self._living() == set(AGENTS), 30)
        self._given: list[str] = []  # ids of orders
        self._enough = threading.Event()

    @contextmanager
    def ordered_about(self) -> Iterator[None]:
        """While inside an order for all agents is given every `PACE`; after it, all have answered."""
        with ThreadPoolExecutor(1) as thread:
            giving = thread.submit(self._give)
            try:
                yield
            finally:
                self._enough.set()
                giving.result()
        wait_for(lambda: self._unanswered() == 0, CATCH_UP)

    def goes_on(self, within: float) -> None:
        """Returns when some more orders are given than were until now, and all of them are answered."""
        enough = len(self._given) + SOME
        wait_for(lambda: len(self._given) >= enough and not self._unanswered(enough), within)

    def stands_still(self, seconds: float) -> None:
        """Returns when nobody has answered anything for so long."""
        wait_for(lambda: time.time() - self._answered_last() > seconds, 60)

    def longest_wait(self, since: float) -> float:
        """Of the orders given from then on: from when one was given until its last agent had answered it."""
        query = """
        SELECT COALESCE(MAX(oa.answered_at - o.issued_at), 0) FROM order_agents oa JOIN orders o ON o.id = oa.order_id
        WHERE o.issued_at >= ?"""
        return float(self.manager.rows(query, since)[0][0])

    def judged(self) -> int:
        """Every order is answered once by each agent, and each kernel holds what the ledger says; how many orders."""
        answers = self.manager.rows("SELECT order_id, agent_id, state FROM order_agents")
        assert Counter(answers) == Counter((given, name, "applied") for given in self._given for name in AGENTS)
        targets = {target for (target,) in self.manager.rows("SELECT target FROM orders")}
        for name, host in self.hosts.items():
            assert host.call(lambda: Nftables().inspect()).keys() == targets, name
        assert self.manager.get("/v1/dead-letters")["dead_letters"] == []
        return len(self._given)

    def _give(self) -> None:
        headers = {"Authorization": f"Bearer {self.manager.token}"}
        with httpx.Client(base_url=self.manager.url, headers=headers, timeout=10, trust_env=False) as client:
            while not self._enough.wait(PACE):
                number = len(self._given)
                where = {"address": str(FIRST + number), "location": "all", "timeout": TIMEOUT}
                answer = client.post("/v1/blocks", json={"request_id": f"request-{number}", **where})
                assert answer.is_success, answer.text
                self._given += [order["id"] for order in answer.json()["orders"]]

    def _living(self) -> set[str]:
        return {each["id"] for each in self.manager.get("/v1/agents")["agents"] if each["state"] == "living"}

    def _unanswered(self, of: int | None = None) -> int:
        """Rows that wait, of the first `of` orders; of all by default."""
        some = set(self._given[:of])
        waiting = self.manager.rows("SELECT order_id FROM order_agents WHERE state = 'waiting'")
        return sum(order in some for (order,) in waiting)

    def _answered_last(self) -> float:
        return float(self.manager.rows("SELECT COALESCE(MAX(answered_at), 0) FROM order_agents")[0][0])


def leader(cluster: Cluster, queue: str) -> DeployedBroker:
    """The node that leads a queue."""
    asked = next(node for node in cluster.nodes if node.running)
    found = f'element(2, rabbit_amqqueue:lookup(rabbit_misc:r(<<"thwart">>, queue, <<"{queue}">>)))'
    name = asked.evaluate(f"case amqqueue:get_pid({found}) of {{_, Node}} -> Node; Pid -> node(Pid) end").strip("'")
    return next(node for node in cluster.nodes if node.name == name)
