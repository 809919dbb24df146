"""Orders that have nowhere to go: known to be nowhere, and sent once there is somebody."""

import pytest

from manager.ledger.views import OrderQuery
from tests.unit.a_manager import a_manager


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


async def test_a_lift_cancels_an_unsent_repeat_for_its_agent_alone(manager):
    """What was sent to others stays theirs to answer, though a repeat to one was taken back."""
    await manager.hear("web1")
    order = await manager.block()
    manager.confirm()
    manager.clock.passed = 60.0
    await manager.hear("web2")
    await manager.unblock()
    assert await manager.states(order) == {"web1": "waiting", "web2": "lifted"}


async def test_an_order_for_nobody_is_unroutable_until_somebody_joins(manager):
    """An order for servers, of which there is none, says so, is found by that word, and is sent to one that joins."""
    await manager.hear("web1")
    order = await manager.block(location="server")
    manager.confirm()
    (view,) = await manager.ledger.orders(OrderQuery(state="unroutable"))
    assert (view.id, view.agents) == (order.id, ())
    await manager.hear("manager1", roles=("server",))
    assert await manager.states(order) == {"manager1": "waiting"}
    assert await manager.ledger.orders(OrderQuery(state="unroutable")) == []
