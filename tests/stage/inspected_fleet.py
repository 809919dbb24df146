"""A fleet of docker-compose.yml, with what Docker, RabbitMQ and the kernel say of its containers."""

import json
import os
import select
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from shared.errors import ThwartError
from tests.stage.compose import Compose, Container
from tests.stage.container_fleet import ContainerFleet, Replica, blocked
from tests.waiting import wait_for

SECRETS, STATE = "run/secrets/thwart", "var/lib/thwart/agent"
VOLUMES = ("manager-secrets", "agent-secrets", "operator-secrets", "grafana-secrets")
MANAGEMENT = "http://127.0.0.1:15672/api"
HOST_AGENT = "deploy/host-agent.yml"
LIMIT = 30.0  # s for one answer of RabbitMQ
SOON = 120.0  # s for what takes some seconds, on a busy machine
PAUSE = 0.3  # s between two looks: each asks Docker for every container

NO_DEPENDENCIES = ("--no-deps",)


class InspectedFleet(ContainerFleet):
    """One that runs."""

    def container(self, service: str) -> Container:
        """The service's first, whether it runs or not."""
        return self.compose.containers(service)[0]

    def inspected(self, service: str) -> Any:
        """What Docker says of that."""
        return self.compose.inspect(self.container(service))

    def agent(self, service: str) -> Replica:
        """The service's first."""
        return next(each for each in self.replicas() if each.service == service)

    def ids(self) -> set[str]:
        """Of the replicas of `agent` that run, once the manager has heard all of them."""
        return {each.id for each in self.settled() if each.service == "agent"}

    def drops(self, service: str, target: str) -> bool:
        """Whether the service's first agent has it in its kernel; False also while its container comes or goes."""
        with suppress(OSError, StopIteration, ThwartError):
            return target in blocked(self.agent(service).host)
        return False

    def healthy(self, *services: str) -> bool:
        """All that runs of them."""
        return all(each.health == "healthy" for service in services for each in self.running(service))

    def checks(self, service: str) -> dict[str, int]:
        """The last ones of its health: each one's exit code, by when it began. Docker keeps five."""
        return {each["Start"]: each["ExitCode"] for each in self.inspected(service)["State"]["Health"]["Log"]}

    def secrets(self) -> dict[str, str]:
        """Every password and token, by volume and file."""
        return {
            f"{volume}/{file.name}": _secret(file.read_text())
            for volume in VOLUMES
            for file in self._folder(volume).iterdir()
        }

    def management(self, user: str, password: str, path: str) -> httpx.Response:
        """RabbitMQ's answer to somebody in its own network, where `guest` is let in if there is one."""
        url = f"{MANAGEMENT}{path}"
        return self.host("rabbitmq").call(lambda: httpx.get(url, auth=(user, password), timeout=LIMIT))

    def operators(self, path: str) -> set[str]:
        """The names of what RabbitMQ lists there."""
        password = self.secrets()["operator-secrets/rabbitmq-password"]
        return {each["name"] for each in self.management("operator", password, path).json()}

    def on_the_machine(self, folder: Path) -> Compose:
        """The agent of `HOST_AGENT`, in what containers see as the machine's network. The broker has no name there."""
        (network,) = self.inspected("rabbitmq")["NetworkSettings"]["Networks"].values()
        urls = folder / "broker-url"
        text = (self._folder("agent-secrets") / urls.name).read_text()
        urls.write_text(text.replace("@rabbitmq:", f"@{network['IPAddress']}:"))
        urls.chmod(0o600)
        environment = {"THWART_BROKER_URLS_FILE": str(urls)}
        often = json.dumps({"services": {"agent": {"healthcheck": {"interval": "1s"}}}})
        return Compose(self.compose.engine, folder, file=HOST_AGENT, override=often, environment=environment)

    def with_state_of(self, service: str, folder: Path) -> Compose:
        """Agents that have the state folder of the service's first."""
        (volume,) = [each["Name"] for each in self.inspected(service)["Mounts"] if each["Destination"] == f"/{STATE}"]
        volumes = {"theirs": _kept(volume), "agent-secrets": _kept(self._full("agent-secrets"))}
        override = {"services": {"agent": {"volumes": [f"theirs:/{STATE}"]}}, "volumes": volumes}
        return Compose(self.compose.engine, folder, override=json.dumps(override))

    def _folder(self, volume: str) -> Path:
        return Path(self.compose.engine.client.get(f"/volumes/{self._full(volume)}")["Mountpoint"])

    def _full(self, volume: str) -> str:
        return f"{self.compose.project}_{volume}"


def soon(look: Callable[[], Any]) -> Any:
    """The first true answer."""
    return wait_for(look, SOON, PAUSE)


def in_images(fleet: ContainerFleet, images: Sequence[str], some: Iterable[str]) -> set[bytes]:
    """Which of `some` texts are in the images, in a layer or beside."""
    wanted = {each.encode() for each in some}
    found, end = set[bytes](), b""
    for chunk in fleet.compose.engine.client.saved(images):
        found |= {each for each in wanted if each in end + chunk}
        end = chunk[-max(map(len, wanted)) :]
    return found


def ended(pid: int, within: float) -> bool:
    """Whether the process is gone by then, in seconds."""
    with suppress(ProcessLookupError), os.fdopen(os.pidfd_open(pid)) as process:
        return bool(select.select([process], [], [], within)[0])
    return True


def network(container: Container) -> str:
    """Which network namespace its first process is in. Raises OSError."""
    return os.readlink(f"/proc/{container.pid}/ns/net")


def files(container: Container, folder: str) -> dict[str, tuple[str, int]]:
    """Mode and owner of each file there, as the container's processes see it."""
    said = {each.name: each.stat() for each in Path(f"/proc/{container.pid}/root", folder).iterdir()}
    return {name: (oct(stat.S_IMODE(each.st_mode)), each.st_uid) for name, each in said.items()}


def _kept(volume: str) -> dict[str, Any]:
    """A volume that isn't the project's own."""
    return {"external": True, "name": volume}


def _secret(text: str) -> str:
    """The part that nobody may know: a URL's password, or what is behind the name."""
    text = text.strip()
    return urlsplit(text).password or text.split()[-1]
