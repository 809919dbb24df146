"""RabbitMQ nodes as `deploy/` has them: its configuration, plug-ins and users, on free ports of loopback; one or three.

What differs from a deployed one is in `conf.d/90-here.conf`: addresses, and where the definitions are.
"""

import secrets
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from manager.up.private_broker import LOOPBACK, free_port
from tests.stage.debian import HERE
from tests.stage.private_broker import PrivateBroker

DEPLOY = Path(__file__).parents[2] / "deploy"

ADDRESSES = """\
listeners.tcp.default = {address}:{port}
load_definitions = {definitions}
management.tcp.ip = {address}
management.tcp.port = {management}
prometheus.tcp.ip = {address}
prometheus.tcp.port = {prometheus}
"""


class Secrets:
    """What `deploy/setup.py` made for brokers at these ports of loopback."""

    def __init__(self, folder: Path, *ports: int) -> None:
        """Runs it: a second one in the same folder makes nothing new."""
        self.folder = folder
        brokers = [word for port in ports for word in ("--broker", f"{LOOPBACK}:{port}")]
        command = [sys.executable, str(DEPLOY / "setup.py"), str(folder), *brokers]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    def read(self, name: str) -> str:
        """What one of its files says."""
        return (self.folder / name).read_text().strip()

    def urls(self, reader: str) -> tuple[str, ...]:
        """The broker's URLs for `manager` or `agents`."""
        return tuple(self.read(f"{reader}/broker-url").split(","))


class DeployedBroker(PrivateBroker):
    """One node with the files of `deploy/rabbitmq`; a member of a cluster when it has `peers`."""

    def __init__(
        self,
        folder: Path,
        definitions: Path,
        port: int,
        *,
        system: Path = HERE,
        node: str = "",
        peers: Sequence[str] = (),
        cookie: str = "",
        epmd: int = 0,
    ) -> None:
        """Nodes of a cluster have a `cookie` and the port of an `epmd` in common, and are called `peers`."""
        self._definitions_file, self._amqp, self._peers, self._cookie = definitions, port, peers, cookie
        self.management, self.prometheus = free_port(), free_port()
        super().__init__(folder, port=port, system=system)
        if node:
            self._node, self._epmd_port = node, epmd

    @property
    def name(self) -> str:
        """What other nodes call it."""
        return self._node

    def _lay_out(self) -> None:
        super()._lay_out()
        for name in ("rabbitmq.conf", "enabled_plugins"):
            self._write(name, (DEPLOY / "rabbitmq" / name).read_text())
        if self._cookie:
            self._write(".erlang.cookie", self._cookie).chmod(0o400)
        (self._folder / "conf.d").mkdir(exist_ok=True)
        here = ADDRESSES.format(
            address=LOOPBACK,
            port=self._amqp,
            definitions=self._definitions_file,
            management=self.management,
            prometheus=self.prometheus,
        )
        self._write("conf.d/90-here.conf", here)
        if self._peers:
            self._write("conf.d/50-cluster.conf", self._cluster())

    def _cluster(self) -> str:
        """The cluster's settings, with the names that its nodes have here."""
        text = (DEPLOY / "rabbitmq" / "cluster.conf").read_text()
        for number, peer in enumerate(self._peers, 1):
            assert f"rabbit@rabbit{number}\n" in text
            text = text.replace(f"rabbit@rabbit{number}\n", f"{peer}\n")
        return text

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"RABBITMQ_CONFIG_FILES": str(self._folder / "conf.d")}


class Cluster:
    """Three nodes. `close` removes them all."""

    def __init__(self, folder: Path, *, system: Path = HERE) -> None:
        ports, epmd, run = [free_port() for _ in range(3)], free_port(), secrets.token_hex(4)
        names = [f"thwart-{run}-{number}@localhost" for number in (1, 2, 3)]
        self.secrets = Secrets(folder / "secrets", *ports)
        self.nodes = [
            DeployedBroker(
                folder / f"node{number}",
                self.secrets.folder / "rabbitmq" / "definitions.json",
                port,
                system=system,
                node=name,
                peers=names,
                cookie=self.secrets.read("operator/erlang.cookie"),
                epmd=epmd,
            )
            for number, (port, name) in enumerate(zip(ports, names, strict=True), 1)
        ]

    def start(self) -> None:
        """Starts those that don't run, all at once: the first waits for the others. Any of their epmd is for all."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(lambda node: node.start(), self.nodes))

    def __enter__(self) -> "Cluster":
        try:
            self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        for node in self.nodes:
            node.close()
