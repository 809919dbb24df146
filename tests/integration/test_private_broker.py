"""The private node is a real broker, and leaves nothing behind, however its owner ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pika
import pytest
from pika.exceptions import ProbableAccessDeniedError

from shared.errors import BrokerError
from tests.conftest import BOTH
from tests.stage.broker import Broker
from tests.stage.guard import members
from tests.stage.private_broker import PrivateBroker
from tests.waiting import wait_for

pytestmark = pytest.mark.broker

OWNER = """
import signal, sys
from pathlib import Path
from tests.stage.private_broker import PrivateBroker

node = PrivateBroker(Path(sys.argv[1]))
node.start()
print(node.pid, flush=True)
signal.alarm(60)  # at the latest
signal.pause()
"""


def test_each_login_sees_its_own_virtual_host_only(broker: Broker) -> None:
    """A test's user can't reach another virtual host than its own."""
    pika.BlockingConnection(pika.URLParameters(broker.url)).close()
    elsewhere = broker.url.rpartition("/")[0] + "/%2F"
    with pytest.raises(ProbableAccessDeniedError, match="NOT_ALLOWED"):
        pika.BlockingConnection(pika.URLParameters(elsewhere))


def test_durable_queues_survive_kill(broker: Broker) -> None:
    """What is durable is there again after the node was killed and started."""
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    connection.channel().queue_declare("kept", durable=True)
    broker.node.sync()
    broker.node.kill()
    broker.node.start()
    again = pika.BlockingConnection(pika.URLParameters(broker.url))
    assert again.channel().queue_declare("kept", passive=True).method.queue == "kept"
    again.close()


def test_an_address_that_is_not_here_is_an_error_with_the_nodes_words(tmp_path: Path) -> None:
    """A node that can't come up says why, and leaves neither process nor folder."""
    node = PrivateBroker(tmp_path / "node", address="203.0.113.1", port=5672)
    with pytest.raises(BrokerError, match="eaddrnotavail"), node:
        pass
    assert not (tmp_path / "node").exists()


def test_a_killed_owner_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL of the process that owns the node ends node, epmd and folder."""
    folder = tmp_path / "node"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    node = int(owner.stdout.readline())
    assert members(node), "the node runs in a session of its own"
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    wait_for(lambda: not members(node) and not folder.exists(), within=10)


@pytest.mark.root
@pytest.mark.parametrize("rabbitmq", BOTH)
def test_each_version_is_the_one_it_says(broker: Broker, rabbitmq: str) -> None:
    """Tests for several versions of RabbitMQ really run on each of them."""
    assert broker.node.version.startswith(f"{rabbitmq}.")
    test_each_login_sees_its_own_virtual_host_only(broker)
    test_durable_queues_survive_kill(broker)
