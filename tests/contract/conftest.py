"""Fixtures of the contract suites."""

from collections.abc import Iterator

import pytest

from tests.contract.subject import InKernel
from tests.stage.guard import Guard
from tests.stage.network import Host, Network


@pytest.fixture(scope="module")
def stage() -> Iterator[Network]:
    """One network for all tests of a module: making it takes longer than most of them."""
    with Guard() as guard:
        yield Network(guard)


@pytest.fixture(scope="module")
def web(stage: Network) -> Host:
    """The host whose kernel is used."""
    return stage.host("web1", 11)


@pytest.fixture(scope="module")
def attacker(stage: Network) -> Host:
    """Who has packets to be dropped."""
    return stage.attacker("attacker", [7, 8, 200])


@pytest.fixture
def in_kernel(web: Host) -> Iterator[InKernel]:
    """firewall-drop by nftables on `web`, prepared, with nothing in force."""
    one = InKernel(web)
    yield one
    one.close()
