"""What tests of a running daemon have in common: a manager and hands that play one agent it knows, or an agent."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.a_manager_daemon import Hands, RunningManager, known
from tests.integration.an_agent import AnAgent


@pytest.fixture
def manager(guard, broker, tmp_path) -> RunningManager:
    """A manager that runs, with the configuration of `a_manager_daemon`."""
    running = RunningManager(guard, broker, tmp_path)
    running.start()
    return running


@pytest.fixture
async def web1(manager, broker) -> AsyncIterator[Hands]:
    """Hands that play `web1`, which the manager has heard of."""
    async with Hands(broker, "web1") as hands:
        await hands.beat("web1")
        await known(manager, "web1")
        yield hands


@pytest.fixture
def host(network):
    """The host that `agent` is on."""
    return network.host("web1", 11)


@pytest.fixture
async def agent(guard, broker, host, tmp_path) -> AsyncIterator[AnAgent]:
    """The agent daemon, not started yet."""
    one = AnAgent(guard, broker, host, tmp_path)
    yield one
    await one.close()
