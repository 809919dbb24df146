"""The fleet under torture: a broker, a manager and agents, each a real process on a host of its own, and an outside.

Hosts: broker1 192.0.2.1, manager1 192.0.2.2, web1 … from 192.0.2.11 on; outside 192.0.2.200 is where the orders come
from and the judge listens, and nothing there is ever killed or cut off.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from manager.api import tokens
from shared.errors import ThwartError
from tests.stage.fleet import API, BROKER_PORT, COMMANDS, OSSEC_CONF, READY, RULES, Daemon
from tests.stage.guard import Guard
from tests.stage.judge import Judge
from tests.stage.kernel import KernelWatch, in_force
from tests.stage.network import Network
from tests.stage.private_broker import PrivateBroker
from tests.torture import history
from tests.torture.broken import BUILDS
from tests.waiting import wait_for

AS_IT_SHIPS = "as it ships"
API_PORT = API.rpartition(":")[2]
LIMIT = 3.0  # s for one request; one that is lost is sent again


class Fleet:
    """Everything, on a private network. Its guard removes it, `folder` included."""

    def __init__(self, guard: Guard, folder: Path, agents: int, build: str = AS_IT_SHIPS) -> None:
        """Makes the hosts and writes the configuration; nothing runs yet. `build` is one of `broken.BUILDS`, or not."""
        guard.folder(folder)
        self._guard, self._folder, self.build = guard, folder, build
        self.network = Network(guard)
        self.outside = self.network.host("outside", 200)
        home = self.network.host("broker1", 1)
        self.broker = PrivateBroker(
            folder / "broker",
            address=home.address,
            port=BROKER_PORT,
            inside=home.inside,
            connect=lambda to, within: home.connect(to, within),
        )
        self.manager = self._manager()
        self.agents = {name: self._agent(name, 10 + n) for n, name in enumerate(names(agents), 1)}
        self.watches = {name: KernelWatch(guard, agent.host) for name, agent in self.agents.items()}

    def start(self) -> None:
        """Returns when the manager calls every agent living. Raises ThwartError or AssertionError with last words."""
        self.broker.start()
        self.manager.start()
        for agent in self.agents.values():
            agent.start()
        wait_for(lambda: self._all_run() and self._living() >= set(self.agents), READY)
        self.judge = Judge(self.broker.url, self.outside.path, lasting=True)
        self.broker.evaluate("mnesia:sync_log()")

    def close(self) -> None:
        """Ends the broker and what listens to it; all the rest is the guard's."""
        if hasattr(self, "judge"):
            self.judge.close()
        self.broker.close()

    @property
    def url(self) -> str:
        """Where the API is, seen from outside."""
        return f"http://{self.manager.host.address}:{API_PORT}"

    @property
    def headers(self) -> dict[str, str]:
        """What the API wants to see."""
        return {"Authorization": f"Bearer {tokens.first(self.manager.folder / 'state' / tokens.FILE)}"}

    def host(self, name: str) -> history.Host:
        """What is on an agent's host now: kernel and journal."""
        agent = self.agents[name]
        words = [str(COMMANDS / "thwart-agent"), "effects", "-o", "json", "--config", str(agent.configuration)]
        effects = json.loads(agent.host.run(*words))
        return history.Host(
            changes=tuple(self.watches[name].changes),
            listed=frozenset(in_force(agent.host)),
            effects=tuple(history.Effect(target=each["target"], orders=tuple(each["orders"])) for each in effects),
        )

    def last_words(self) -> dict[str, str]:
        """What each daemon logged last, by name."""
        return {
            name: daemon.process.last_words(3)
            for name, daemon in [("manager1", self.manager), *self.agents.items()]
            if daemon.log.exists()
        }

    def daemon(self, name: str) -> Daemon:
        """The manager or an agent, by its host."""
        return self.manager if name == self.manager.host.name else self.agents[name]

    def _manager(self) -> Daemon:
        folder = self._folder / "manager1"
        host = self.network.host("manager1", 2)
        settings = {
            "broker": {"urls": [self.broker.url]},
            "manager": {"state_dir": str(folder / "state"), "ossec_conf": str(OSSEC_CONF), "rules": [str(RULES)]},
            "api": {"listen": f"{host.address}:{API_PORT}"},
            "log": {"format": "json"},
        }
        return Daemon(self._guard, host, folder, [str(COMMANDS / "thwart"), "manager"], settings)

    def _agent(self, name: str, number: int) -> Daemon:
        folder, host = self._folder / name, self.network.host(name, number)
        settings = {
            "broker": {"urls": [self.broker.url]},
            "agent": {"id": name, "state_dir": str(folder / "state"), "roles": ["server"] if number == 11 else []},
            "metrics": {"listen": "127.0.0.1:9464"},
            "log": {"format": "json"},
        }
        ships = [str(COMMANDS / "thwart-agent"), "run"]
        broken = [sys.executable, "-m", "tests.torture.broken", self.build]
        return Daemon(self._guard, host, folder, broken if self.build in BUILDS else ships, settings)

    def _all_run(self) -> bool:
        for name, daemon in [("manager1", self.manager), *self.agents.items()]:
            if not daemon.running:
                raise ThwartError(f"{name} ended: {daemon.process.last_words()}")
        return True

    def _living(self) -> set[str]:
        try:
            answer = self.outside.call(lambda: httpx.get(f"{self.url}/v1/agents", headers=self.headers, timeout=LIMIT))
            return {each["id"] for each in answer.raise_for_status().json()["agents"] if each["state"] == "living"}
        except (httpx.HTTPError, ThwartError):  # neither API nor token are there at once
            return set()


def names(agents: int) -> Sequence[str]:
    """Of that many agents."""
    return [f"web{number}" for number in range(1, agents + 1)]
