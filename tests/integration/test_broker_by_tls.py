"""RabbitMQ with `deploy/rabbitmq/tls.conf`: daemons that show a certificate get in, by TLS, and nobody else."""

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from manager.up.private_broker import HELLO, LOOPBACK, METHOD_FRAME, free_port
from tests.fault.on_three_nodes import Daemons
from tests.stage import debian
from tests.stage.deployed_broker import DEPLOY, DeployedBroker, Secrets

pytestmark = [pytest.mark.broker, pytest.mark.root]


class ByTls(DeployedBroker):
    """A node with the sample beside the rest, for certificates in `folder`/tls; a daemon's own is there too."""

    def __init__(self, folder: Path, system: Path) -> None:
        self.port, self.tls = free_port(), folder / "tls"
        self.tls.mkdir()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.tls / "ca.pem")
        for name, whose in (("server", LOOPBACK), ("daemon", "web1")):
            issued = authority.issue_cert(whose)
            issued.private_key_pem.write_to_path(self.tls / f"{name}.key")
            issued.cert_chain_pems[0].write_to_path(self.tls / f"{name}.pem")
        self.secrets = Secrets(folder / "secrets", self.port)
        again = [sys.executable, str(DEPLOY / "setup.py"), str(self.secrets.folder), "--tls"]
        subprocess.run([*again, "--broker", f"{LOOPBACK}:{self.port}"], check=True)
        super().__init__(
            folder / "node", self.secrets.folder / "rabbitmq" / "definitions.json", self.port, system=system
        )

    def _lay_out(self) -> None:
        super()._lay_out()
        sample = (DEPLOY / "rabbitmq" / "tls.conf").read_text()
        assert "/etc/thwart/tls/" in sample and "listeners.ssl.default = 5671\n" in sample
        sample = sample.replace("/etc/thwart/tls", str(self.tls)).replace(" 5671\n", f" {LOOPBACK}:{self.port}\n")
        self._write("conf.d/60-tls.conf", sample)

    def _environment(self) -> dict[str, str]:
        """Without the listener that these name, which goes before what the files say."""
        plain = ("RABBITMQ_NODE_PORT", "RABBITMQ_NODE_IP_ADDRESS")
        return {name: said for name, said in super()._environment().items() if name not in plain}

    def _answers(self) -> bool:
        return self.lets_in("daemon")

    def lets_in(self, certificate: str) -> bool:
        """Whether AMQP is spoken with who shows this certificate; with nobody's, who shows none."""
        context = ssl.create_default_context(cafile=self.tls / "ca.pem")
        if certificate:
            context.load_cert_chain(self.tls / f"{certificate}.pem", self.tls / f"{certificate}.key")
        with (
            suppress(OSError),
            socket.create_connection((LOOPBACK, self.port), 5) as plain,
            context.wrap_socket(plain, server_hostname=LOOPBACK) as connection,
        ):
            connection.sendall(HELLO)
            return connection.recv(1) == METHOD_FRAME
        return False


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[ByTls]:
    """On RabbitMQ 4."""
    one = ByTls(tmp_path_factory.mktemp("tls"), debian.with_packages("trixie", "rabbitmq-server"))
    with one:
        yield one


def test_manager_and_agents_find_each_other(guard, network, node, tmp_path):
    """With the URLs that the set-up writes, the authority to trust, and a certificate: orders are carried out."""
    files = {"ca_file": "ca.pem", "certificate_file": "daemon.pem", "key_file": "daemon.key"}
    assert node.secrets.urls("agents")[0].startswith("amqps://")
    daemons = Daemons(guard, node, network, tmp_path, **{key: str(node.tls / name) for key, name in files.items()})
    with daemons.ordered_about():
        daemons.goes_on(within=30)
    assert daemons.judged() > 0


def test_nobody_else_gets_in(node):
    """Neither who has no certificate, nor who has one of another authority, nor who doesn't speak TLS."""
    stranger = trustme.CA().issue_cert("web1")
    stranger.private_key_pem.write_to_path(node.tls / "stranger.key")
    stranger.cert_chain_pems[0].write_to_path(node.tls / "stranger.pem")
    assert {who: node.lets_in(who) for who in ("daemon", "stranger", "")} == {
        "daemon": True,
        "stranger": False,
        "": False,
    }
    listeners = node.evaluate("[Port || {listener, _, amqp, _, _, Port, _} <- rabbit_networking:active_listeners()]")
    assert listeners == "[]", "of AMQP without TLS"
