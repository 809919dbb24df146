"""A whole fleet on the stage: broker, manager and agents, each a real process on a host of its own network.

Addresses: manager1 192.0.2.2 (the broker, the manager, and an agent with the role `server`), web1 192.0.2.11 with an
sshd, web2 192.0.2.12, and an attacker with several in 203.0.113.0/24.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from manager.api import tokens
from manager.api.bodies.agents import Agents
from manager.client import Client
from manager.up import plan
from manager.up.plan import Settings
from shared.errors import ApiError, SettingsError, ThwartError
from tests.stage.guard import NETNS, Guard
from tests.stage.judge import Judge
from tests.stage.network import Host, Network
from tests.stage.private_broker import PrivateBroker
from tests.stage.process import Process
from tests.stage.sshd import Sshd
from tests.waiting import wait_for

SAMPLE = Path(__file__).with_name("sample")
OSSEC_CONF, RULES = SAMPLE / "ossec.conf", SAMPLE / "local_rules.xml"
COMMANDS = Path(sys.executable).parent  # where `thwart` and `thwart-agent` are
BROKER_PORT = 5672
API = "127.0.0.1:9460"
ATTACKERS = (66, 67, 77)  # last numbers of the attacker's addresses
READY = 30.0  # s for a daemon to be of use

Answer = TypeVar("Answer", bound=Struct)


class Daemon:
    """One daemon: its configuration file and log stay, its process comes and goes."""

    def __init__(self, guard: Guard, host: Host, folder: Path, command: Sequence[str], settings: Settings) -> None:
        """Writes `settings` to `folder`; starts nothing yet."""
        folder.mkdir(parents=True)
        self.host, self.folder, self.log = host, folder, folder / "log"
        self.configuration = folder / "settings.toml"
        self.configuration.write_text(plan.written(settings))
        self._guard = guard
        self._command = [*host.inside, *command, "--config", str(self.configuration)]
        self._process: Process | None = None

    def start(self) -> None:
        """Does nothing when it runs already."""
        if not self.running:
            self._process = Process(self._guard, self._command, self.log)

    def stop(self) -> int:
        """In good order; the exit status."""
        return self.process.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def restart(self) -> None:
        """Stops and starts."""
        self.stop()
        self.start()

    @property
    def process(self) -> Process:
        """The latest one. Raises AssertionError when it was never started."""
        assert self._process is not None, f"{self.folder.name} was never started"
        return self._process

    @property
    def running(self) -> bool:
        """True while its process lives."""
        return self._process is not None and self._process.running


class Fleet:
    """Everything between an attacker and a block. Its guard removes it, `folder` included."""

    def __init__(self, guard: Guard, folder: Path, *, ossec_conf: Path = OSSEC_CONF, rules: Path = RULES) -> None:
        """Makes the hosts and writes the configuration; nothing runs yet."""
        self._guard, self._folder = guard, folder
        guard.folder(folder)
        network = Network(guard)
        self.attacker = network.attacker("attacker", ATTACKERS)
        self.hosts = {"manager1": network.host("manager1", 2)}
        self._network = network
        self.broker = self._private_broker()
        self.manager = self._manager(ossec_conf, rules)
        self.agents: dict[str, Daemon] = {}
        self.sshd: Sshd | None = None
        self.web1_log = folder / "web1-sshd" / "auth.log"
        self.add_agent("manager1", 2, roles=["server"])
        self.add_agent("web1", 11, log=self.web1_log)
        self.add_agent("web2", 12)

    def start(self) -> None:
        """Returns when every agent is known to the manager. Raises ThwartError or AssertionError with last words."""
        self.broker.start()
        self.sshd = Sshd(self._guard, self.hosts["web1"], self.web1_log.parent)
        self.manager.start()
        for agent in self.agents.values():
            agent.start()
        self.wait_until_known(*self.agents)

    def close(self) -> None:
        """Ends the broker; all the rest is the guard's."""
        self.broker.close()

    def add_agent(
        self,
        name: str,
        number: int,
        *,
        roles: Sequence[str] = (),
        log: Path | None = None,
        broker: str = "",
        command: Sequence[str] = (str(COMMANDS / "thwart-agent"), "run"),
    ) -> Daemon:
        """An agent, on a host 192.0.2.`number` of its own unless `name` is one already. It doesn't run yet.

        `broker` is the URL by which it knows the broker, if not by its address.
        """
        if name not in self.hosts:
            self.hosts[name] = self._network.host(name, number)
        folder = self._folder / f"agent-{name}"
        self.agents[name] = Daemon(
            self._guard,
            self.hosts[name],
            folder,
            command,
            {
                "broker": {"urls": [broker or self.broker.url]},
                "agent": {
                    "id": name,
                    "state_dir": str(folder / "state"),
                    "roles": list(roles),
                    "logs": [{"path": str(log), "from_start": True}] if log else [],
                },
                "metrics": {"listen": "127.0.0.1:9464"},
                "log": {"format": "json"},
            },
        )
        return self.agents[name]

    def judge(self) -> Judge:
        """Hears what is said from now on."""
        return Judge(self.broker.url, self.hosts["manager1"].path)

    def api(self, path: str, kind: type[Answer]) -> Answer:
        """What the manager's API answers to a GET. Raises ApiError, and SettingsError before its token is there."""
        return self.hosts["manager1"].call(lambda: self._ask(path, kind))

    def _ask(self, path: str, kind: type[Answer]) -> Answer:
        with Client(f"http://{API}", self.manager.folder / "state" / tokens.FILE) as client:
            return client.get(path, kind)

    def thwart(self, *arguments: str) -> Any:
        """What `thwart ARGUMENTS -o json` says on the manager's host. Raises ThwartError with its words."""
        environment = ["env", f"THWART_API_TOKEN_FILE={self.manager.folder / 'state' / 'api.token'}"]
        return json.loads(self.hosts["manager1"].run(*environment, str(COMMANDS / "thwart"), *arguments, "-o", "json"))

    def wait_until_known(self, *names: str) -> None:
        """Returns when the manager calls all these agents living."""
        wait_for(lambda: self._all_run() and set(names) <= self._living(), READY)

    def last_words(self) -> dict[str, str]:
        """What each daemon that was started logged last, by name."""
        return {name: daemon.process.last_words(3) for name, daemon in self._started().items()}

    def left(self) -> list[str]:
        """What has not been removed: the folder, namespaces, processes that were started from the folder."""
        run = self.attacker.namespace.rpartition("-")[0]
        namespaces = [name for name in os.listdir(NETNS) if name.startswith(run)] if NETNS.exists() else []
        processes = [f"pid {pid.name}" for pid in Path("/proc").glob("[0-9]*") if self._started_from(pid)]
        return [*([str(self._folder)] if self._folder.exists() else []), *namespaces, *processes]

    def _started_from(self, pid: Path) -> bool:
        with suppress(OSError):
            where = (pid / "cmdline").read_bytes() + b"\0" + os.fsencode((pid / "cwd").readlink())
            return os.fsencode(self._folder) in where
        return False

    def _living(self) -> set[str]:
        with suppress(ApiError, SettingsError):  # neither API nor token are there at once
            return {agent.id for agent in self.api("/v1/agents", Agents).agents if agent.state == "living"}
        return set()

    def _all_run(self) -> bool:
        for name, daemon in self._started().items():
            if not daemon.running:
                raise ThwartError(f"{name} ended: {daemon.process.last_words()}")
        return True

    def _started(self) -> dict[str, Daemon]:
        everyone = {"manager": self.manager, **self.agents}
        return {name: daemon for name, daemon in everyone.items() if daemon.log.exists()}

    def _private_broker(self) -> PrivateBroker:
        host = self.hosts["manager1"]
        return PrivateBroker(
            self._folder / "broker",
            address=host.address,
            port=BROKER_PORT,
            inside=host.inside,
            connect=lambda to, within: host.connect(to, within),
        )

    def _manager(self, ossec_conf: Path, rules: Path) -> Daemon:
        folder = self._folder / "manager"
        return Daemon(
            self._guard,
            self.hosts["manager1"],
            folder,
            [str(COMMANDS / "thwart"), "manager"],
            {
                "broker": {"urls": [self.broker.url]},
                "manager": {"state_dir": str(folder / "state"), "ossec_conf": str(ossec_conf), "rules": [str(rules)]},
                "api": {"listen": API},
                "log": {"format": "json"},
            },
        )
