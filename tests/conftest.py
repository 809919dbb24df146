"""Fixtures that every layer shares. A missing broker, root, nft or promtool fails in CI; a laptop skips the test."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from shared.errors import ThwartError
from shared.topology import QueueType
from tests.stage import base_images, debian
from tests.stage.broker import Broker
from tests.stage.engine import Engine
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.stage.private_broker import SERVER, PrivateBroker

BOTH = {"3.10": "bookworm", "4.0": "trixie"}  # RabbitMQ's versions, and the Debian that each is in

# pytest-timeout has the limit; on a machine that is busy with something else an example may take any time
settings.register_profile("thwart", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("thwart")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the tests marked `full` too")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("full") and not item.config.getoption("--full"):
        pytest.skip("only with --full")
    if item.get_closest_marker("root") and (why := _why_no_root()):
        _missing(why)
    if item.get_closest_marker("broker") and not SERVER.exists():
        _missing(f"{SERVER}: not found; install rabbitmq-server, or run scripts/setup")
    if item.get_closest_marker("prometheus") and not shutil.which("promtool"):
        _missing("promtool: not found; install prometheus, or run scripts/setup")


@pytest.fixture(scope="session")
def broker_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], PrivateBroker]]:
    """The session's RabbitMQ nodes, by where their programs are: started for the first test that wants it, in 5 s."""
    with ExitStack() as stack:
        yield cache(
            lambda system: stack.enter_context(PrivateBroker(tmp_path_factory.mktemp("broker") / "node", system=system))
        )


@pytest.fixture
def rabbitmq() -> str:
    """Which RabbitMQ the `broker` is: this machine's. A test that is for several is parametrised with some of BOTH."""
    return ""


@pytest.fixture
def queue_type() -> QueueType:
    """What the daemons are told to use; a test that is for both is parametrised with them."""
    return "classic"


@pytest.fixture
def broker(broker_nodes: Callable[[Path], PrivateBroker], rabbitmq: str, queue_type: QueueType) -> Iterator[Broker]:
    """An empty broker for this test alone. A test that stopped the node gets it back."""
    node = broker_nodes(_system(rabbitmq))
    node.start()  # does nothing unless the test before left it down
    login = node.add_login(f"test-{secrets.token_hex(4)}")
    yield Broker(node, login, queue_type)
    node.start()
    node.remove_login(login.name)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The tests' own Docker engine, with the images that docker-compose.yml pulls. None: a failure everywhere."""
    with Engine() as one:
        base_images.prepare(one)
        yield one


@pytest.fixture
def guard() -> Iterator[Guard]:
    """Clears away, after the test, what the test made and told it."""
    with Guard() as one:
        yield one


@pytest.fixture
def network(guard: Guard) -> Network:
    """A bridge in a namespace of its own; the test puts hosts on it."""
    return Network(guard)


def _system(rabbitmq: str) -> Path:
    """Where a Debian with that RabbitMQ is."""
    if not rabbitmq and not SERVER.exists():
        _missing(f"{SERVER}: not found; install rabbitmq-server, or run scripts/setup")
    try:
        return debian.with_packages(BOTH[rabbitmq], "rabbitmq-server") if rabbitmq else debian.HERE
    except ThwartError as error:
        _missing(str(error))


def _why_no_root() -> str:
    """What is missing for network namespaces and a firewall in them, or nothing."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        return "root that may make network namespaces is needed; use sudo"
    absent = [program for program in ("nft", "ip", "nsenter") if not shutil.which(program)]
    return f"{', '.join(absent)}: not found; run scripts/setup" if absent else ""


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
