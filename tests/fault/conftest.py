"""Fixtures of the fault tests. The broker is the session's; each test has hosts and daemons of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.a_fleet import Fleet
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.stage.network import Network


@pytest.fixture
def idle_fleet(guard: Guard, broker: Broker, network: Network, tmp_path: Path) -> Iterator[Fleet]:
    """A manager that doesn't run yet, and nobody else."""
    one = Fleet(guard, broker, network, tmp_path)
    yield one
    one.close()


@pytest.fixture
def fleet(idle_fleet: Fleet) -> Fleet:
    """A manager that runs, and nobody else."""
    idle_fleet.manager.start()
    return idle_fleet
