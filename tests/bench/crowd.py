"""A fleet of simulated agents in a few processes, on a broker with the settings of `deploy/`, and a real manager."""

import random
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from manager.up.private_broker import is_free
from shared.store import reading
from tests.integration.a_manager_daemon import RunningManager
from tests.stage import debian
from tests.stage.auth_log import address
from tests.stage.broker import Broker
from tests.stage.deployed_broker import DeployedBroker, Secrets
from tests.stage.guard import Guard
from tests.stage.private_broker import Login
from tests.stage.simulated_agents import State
from tests.waiting import wait_for

SUITE = "trixie"  # whose RabbitMQ is 4.0
START, PATIENCE = 60.0, 600.0  # s
LASTS = 86_400.0  # s: nothing ends meanwhile
LOOK, LOOK_AGAIN = 0.2, 0.02  # s between two looks at the agents, and at an order's rows
# While the broker is away they try its port again and again: one that the system hands out to who connects would
# answer to itself now and then. Any of these, since two crowds may begin at the same time.
PORTS = range(21_000, 22_000)
FILES, FILES_EACH = 1_024, 3  # that may be open, and more for each agent: it has two connections
AGENTS = (sys.executable, "-m", "tests.stage.simulated_agents")

_HEARD = "SELECT max(rowid) FROM history"
_SETTLED = "SELECT count(*) FROM order_agents WHERE order_id = ? AND state != 'waiting'"
_TOOK = """
SELECT oa.answered_at - o.issued_at FROM order_agents oa JOIN orders o ON o.id = oa.order_id
WHERE o.id = ? AND oa.answered_at IS NOT NULL ORDER BY 1
"""
_KNOWN = "SELECT count(*) FROM agents"
_UNSENT = "SELECT count(*) FROM outbox"
# What agents may say is in deploy's definitions, and raw answers aren't.
_LET_RAW = """
rabbit_auth_backend_internal:set_topic_permissions(
    <<"thwart.agents">>, <<"thwart">>, <<"thwart.events">>, <<"^[a-z]+[.]">>, <<".*">>, <<"bench">>)
"""


class Answered(Struct, frozen=True, kw_only=True):
    """An order that everybody has answered."""

    took: tuple[float, ...]  # s from the order to each answer in the ledger, by the manager's clock, sorted
    last: float  # s from the request until the last answer could be read in the ledger


class Crowd:
    """So many agents. Its guard ends it all; `close` does so in good order."""

    def __init__(self, guard: Guard, folder: Path, agents: int, processes: int, *, raw: bool = False) -> None:
        """Starts broker and manager; nobody else is there yet."""
        self._guard, self._folder, self.agents, self._raw = guard, folder, agents, raw
        let_open(FILES + FILES_EACH * agents)
        port = next(each for each in random.sample(PORTS, len(PORTS)) if is_free(each))
        self.secrets = Secrets(folder / "secrets", port)
        self.broker = DeployedBroker(
            folder / "broker",
            self.secrets.folder / "rabbitmq" / "definitions.json",
            port,
            system=debian.with_packages(SUITE, "rabbitmq-server"),
        )
        self.broker.start()
        if raw:
            self.broker.evaluate(_LET_RAW)
        (folder / "manager").mkdir()
        login = Login(name="", password="", url=self.secrets.urls("manager")[0])
        self.manager = RunningManager(guard, Broker(self.broker, login), folder / "manager")
        self.manager.start()
        wait_for(lambda: self.manager.get("/v1/health")["broker"] == "connected", START)
        self._ledger = folder / "manager" / "state" / "ledger.db"
        headers = {"Authorization": f"Bearer {self.manager.token}"}
        self._api = httpx.Client(base_url=self.manager.url, headers=headers, trust_env=False, timeout=60.0)
        self._shares = [agents // processes + (number < agents % processes) for number in range(processes)]
        self._processes: list[subprocess.Popen[str]] = []
        self._given = 0

    @property
    def manager_pid(self) -> int:
        """The manager's process."""
        assert self.manager.process is not None
        return self.manager.process.pid

    @property
    def pids(self) -> list[int]:
        """The processes that the agents are in."""
        return [each.pid for each in self._processes]

    def join(self) -> float:
        """Starts all agents at once; seconds until each has both links and the manager has it in the ledger."""
        began, first = time.time(), 0
        for count in self._shares:
            words = [self.secrets.urls("agents")[0], str(first), str(count), *(["raw"] if self._raw else [])]
            self._processes.append(self.start([*AGENTS, *words], self._words))
            first += count
        wait_for(self._all_there, PATIENCE, LOOK)
        return time.time() - began

    def states(self) -> list[State]:
        """What the agents of each process have come to."""
        for each in self._processes:
            say(each)
        return [msgspec.json.decode(heard(each), type=State) for each in self._processes]

    def all_connected(self, after: float = 0.0) -> float:
        """Waits for it; Unix seconds since when all agents have both links, the last of them made after `after`."""
        while True:
            states = self.states()
            since = max(each.since for each in states)
            if sum(each.connected for each in states) == self.agents and since > after:
                return since
            assert time.time() < max(after, since) + PATIENCE, states
            time.sleep(LOOK)

    def order(self) -> str:
        """Gives an `all` order; its id."""
        wish = {"address": address(self._given), "location": "all", "timeout": LASTS}
        self._given += 1
        answer = self._api.post("/v1/blocks", json={"request_id": f"request-{self._given}", **wish})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["orders"][0]["id"])

    def answered(self, order_id: str, since: float) -> Answered:
        """Waits until all have answered the only order that is open."""
        wait_for(lambda: self.row(_SETTLED, order_id) >= self.agents, PATIENCE, LOOK_AGAIN)  # which reads all its rows
        last = time.time() - since
        with reading(self._ledger) as connection:
            took = tuple(row[0] for row in connection.execute(_TOOK, (order_id,)))
        assert len(took) == self.agents
        return Answered(took=took, last=last)

    def one(self) -> Answered:
        """One order, until the last answer to it is in the ledger."""
        heard_before, began = self.row(_HEARD), time.time()
        order_id = self.order()
        wait_for(lambda: self.row(_HEARD) >= heard_before + self.agents, PATIENCE)
        return self.answered(order_id, began)

    def at_rest(self) -> None:
        """Waits until the manager has nothing more to send."""
        wait_for(lambda: self.row(_UNSENT) == 0, PATIENCE)

    def row(self, query: str, *values: object) -> Any:
        """The one figure that a query of the ledger gives."""
        with reading(self._ledger) as connection:
            return connection.execute(query, values).fetchone()[0] or 0

    def count(self, expression: str) -> int:
        """What Erlang's `expression` gives in the broker."""
        return int(self.broker.evaluate(expression))

    def close(self) -> None:
        """Ends everything; files stay until the guard closes."""
        self._api.close()
        for each in self._processes:
            each.communicate(timeout=PATIENCE)
        self.manager.stop()
        self.broker.close()

    def start(self, command: Sequence[str], log: Path) -> "subprocess.Popen[str]":
        """A script that is spoken to by lines."""
        with log.open("ab") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._guard.session(process.pid)
        return process

    @property
    def _words(self) -> Path:
        return self._folder / "agents.log"

    def _all_there(self) -> bool:
        for each in self._processes:
            assert each.poll() is None, self._words.read_text()
        return bool(self.row(_KNOWN) >= self.agents) and sum(each.connected for each in self.states()) == self.agents


def let_open(count: int) -> None:
    """So many files in one process, for this one and what it starts: 1,024 is what most systems begin with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))


def say(process: "subprocess.Popen[str]") -> None:
    """A line to a script."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def heard(process: "subprocess.Popen[str]") -> str:
    """A line from a script. Raises AssertionError when it has ended."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "it has ended"
    return line
