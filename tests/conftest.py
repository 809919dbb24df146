"""Fixtures that every layer shares. A missing broker, root or nft fails in CI and is skipped on a laptop."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.network import Network
from tests.stage.private_broker import SERVER, PrivateBroker

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


@pytest.fixture(scope="session")
def broker_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """The session's RabbitMQ node, running; it takes some 5 s to come up. A test that stopped it gets it back."""
    if not SERVER.exists():
        _missing(f"{SERVER}: not found; install rabbitmq-server, or run scripts/setup")
    with PrivateBroker(tmp_path_factory.mktemp("broker") / "node") as node:
        yield node


@pytest.fixture
def broker(broker_node: PrivateBroker) -> Iterator[Broker]:
    """An empty broker for this test alone."""
    broker_node.start()  # does nothing unless the test before left it down
    login = broker_node.add_login(f"test-{secrets.token_hex(4)}")
    yield Broker(broker_node, login)
    broker_node.start()
    broker_node.remove_login(login.name)


@pytest.fixture
def guard() -> Iterator[Guard]:
    """Clears away, after the test, what the test made and told it."""
    with Guard() as one:
        yield one


@pytest.fixture
def network(guard: Guard) -> Network:
    """A bridge in a namespace of its own; the test puts hosts on it."""
    return Network(guard)


def _why_no_root() -> str:
    """What is missing for network namespaces and a firewall in them, or nothing."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        return "root that may make network namespaces is needed; use sudo"
    absent = [program for program in ("nft", "ip", "nsenter") if not shutil.which(program)]
    return f"{', '.join(absent)}: not found; run scripts/setup" if absent else ""


def _missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
