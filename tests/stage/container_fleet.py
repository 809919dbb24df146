"""The fleet that docker-compose.yml makes, asked from outside: its manager, and the kernel of each agent's network."""

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from msgspec import Struct

from manager import client
from manager.api.bodies.agents import Agents, AgentView
from manager.api.bodies.blocks import Blocks, Given, NewBlock
from manager.api.bodies.health import Health
from manager.api.bodies.orders import Orders
from manager.client import Client
from manager.ledger.views import OrderView
from shared.errors import ThwartError
from tests.stage.compose import Compose, Container
from tests.stage.kernel import in_force
from tests.stage.network import Host
from tests.stage.prometheus import Queries
from tests.waiting import wait_until_none

AGENTS = ("agent", "server", "target-agent")  # services with an agent in each container
API, PROMETHEUS = "http://127.0.0.1:9460", "http://127.0.0.1:9090"
ID, TOKEN = "var/lib/thwart/agent/id", "run/secrets/thwart/api.token"
READY = 90.0  # s for agents that have been started to be heard of, on a busy machine
MOST = 1_000  # orders that the API gives at once
LASTS = 3_600.0  # s that a block by hand lasts: longer than any test
OPEN = ("waiting", "overdue")
PACE = 0.1  # s between two orders of a load
PAUSE = 0.2  # s between two looks at a whole fleet

Answer = TypeVar("Answer", bound=Struct)
Made = TypeVar("Made")


class Inside(Host):
    """A container's network, and its programs: an older nft than those may die of Docker's own rules there."""

    def __init__(self, container: Container) -> None:
        super().__init__(container.name, f"/proc/{container.pid}/ns/net", ())
        self._pid = container.pid

    @property
    def inside(self) -> tuple[str, ...]:
        return ("nsenter", f"--target={self._pid}", "--net", "--mount", "--")


class Replica(Struct, frozen=True, kw_only=True):
    """An agent in its container."""

    service: str
    container: str
    id: str
    host: Host


class ContainerFleet:
    """What runs of it is looked up anew for each question: containers come and go."""

    def __init__(self, compose: Compose) -> None:
        self.compose = compose

    def running(self, service: str) -> list[Container]:
        """The containers of a service that run, by number."""
        return [each for each in self.compose.containers(service) if each.pid]

    def host(self, service: str) -> Host:
        """Where the service's only container is. Raises ValueError while none runs."""
        (container,) = self.running(service)
        return Inside(container)

    def replicas(self) -> list[Replica]:
        """Every agent. Raises OSError while one doesn't run, or has no id yet."""
        return [
            Replica(
                service=each.service, container=each.name, id=_root(each, ID).read_text().strip(), host=Inside(each)
            )
            for each in self.compose.containers()
            if each.service in AGENTS
        ]

    def settled(self, since: float = 0.0) -> list[Replica]:
        """Every agent, once they all run, the manager has heard them, and of none a start before `since`.

        No two have one id.
        """

        here: list[Replica] = []

        def missing() -> list[str]:
            try:
                here[:], heard = self.replicas(), self.agents()
            except (OSError, ValueError, ThwartError) as error:  # ids, API and token come one by one
                return [str(error)]
            well = {each.id for each in here if each.id in heard and _is_well(heard[each.id], since)}
            absent = [f"{each.container} isn't heard of as {each.id}" for each in here if each.id not in well]
            return absent or (["two have one id"] if len(well) < len(here) else [])

        wait_until_none(missing, READY, PAUSE)
        return here

    def agents(self) -> dict[str, AgentView]:
        """Whom the manager knows, by id."""
        return {each.id: each for each in self._ask("/v1/agents", Agents).agents}

    def orders(self) -> list[OrderView]:
        """All of them, newest first."""
        found = self._ask("/v1/orders", Orders, limit=MOST).orders
        assert len(found) < MOST, "there are more orders than the API gives at once"
        return list(found)

    def block(self, target: str, *agents: str) -> None:
        """Orders it on `agents`, or on all. Nobody's answer is waited for."""
        self._with_client(lambda api: api.post("/v1/blocks", _wish(target, agents), Given))

    def connected(self) -> bool:
        """Whether the manager has its broker."""
        return self._ask("/v1/health", Health).broker == "connected"

    def owed(self, replicas: Sequence[Replica]) -> list[str]:
        """What these have not answered."""
        ids = {each.id for each in replicas}
        return [
            f"{row.agent_id} owes {order.target}: {row.state}"
            for order in self.orders()
            for row in order.agents
            if row.agent_id in ids and row.state in OPEN
        ]

    def differences(self, replicas: Sequence[Replica]) -> list[str]:
        """Where the kernel of an agent's network has otherwise than the ledger says."""
        blocks = self._ask("/v1/blocks", Blocks).blocks
        held = {(holder.agent_id, block.target) for block in blocks for holder in block.holders}
        return [
            f"{each.container}: the kernel has {sorted(kernel - ledger)} more, {sorted(ledger - kernel)} less"
            for each in replicas
            if (kernel := blocked(each.host)) != (ledger := {target for agent, target in held if agent == each.id})
        ]

    def prometheus(self) -> Queries:
        """The one that runs now."""
        return Queries(PROMETHEUS, self.host("prometheus").call)

    def load(self, agents: Sequence[str]) -> "Load":
        """Orders in a row, in turn on all and on one of `agents`."""
        return Load(agents, self._with_client)

    def _ask(self, path: str, kind: type[Answer], **query: int) -> Answer:
        return self._with_client(lambda api: api.get(path, kind, **query))

    def _with_client(self, work: Callable[[Client], Made]) -> Made:
        """Raises ApiError; ValueError while there is no manager, SettingsError while there is no token."""
        (container,) = self.running("manager")

        def working() -> Made:
            with Client(API, _root(container, TOKEN)) as api:
                return work(api)

        return Inside(container).call(working)


class Load:
    """Somebody who gives orders until told to stop, whatever becomes of them."""

    def __init__(self, agents: Sequence[str], with_client: Callable[[Callable[[Client], None]], None]) -> None:
        self._places = itertools.cycle([(), *((each,) for each in agents)])
        self._stopped = threading.Event()
        self._failure: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(with_client,), name="load")
        self.given: list[str] = []  # targets, in order
        self.everywhere: set[str] = set()  # those that were ordered on all

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Raises what an order failed with."""
        self._stopped.set()
        self._thread.join()
        if self._failure and error is None:
            raise self._failure[0]

    def _run(self, with_client: Callable[[Callable[[Client], None]], None]) -> None:
        try:
            with_client(self._give)
        except BaseException as error:
            self._failure.append(error)

    def _give(self, api: Client) -> None:
        while not self._stopped.wait(PACE):
            number = len(self.given)
            target, place = f"198.18.{number // 250}.{number % 250 + 1}", next(self._places)
            api.post("/v1/blocks", _wish(target, place), Given)
            self.given.append(target)
            if not place:
                self.everywhere.add(target)


def blocked(host: Host) -> set[str]:
    """What the kernel drops there."""
    try:
        return in_force(host)
    except ThwartError:  # there is no table before the first block
        return set()


def _wish(target: str, agents: Sequence[str]) -> NewBlock:
    return NewBlock(
        address=target,
        request_id=client.request_id(),
        location="agent" if agents else "all",
        agents=tuple(agents),
        timeout=LASTS,
    )


def _root(container: Container, path: str) -> Path:
    """A file as the container's processes see it."""
    return Path(f"/proc/{container.pid}/root") / path


def _is_well(agent: AgentView, since: float) -> bool:
    return agent.state == "living" and agent.started_at >= since
