"""What tests of a running manager have in common: the manager, and hands that play one agent it knows."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.a_manager_daemon import Hands, RunningManager, known


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
