"""An order that no queue takes is known to be nowhere, and goes out again once there is a queue."""

import pytest

from manager.ledger.views import OrderQuery
from tests.unit.a_manager import a_manager


@pytest.fixture
def manager(tmp_path):
    with a_manager(tmp_path / "ledger.db") as parts:
        yield parts


def _return(manager) -> None:
    rows = manager.outbox()

    def forget(connection) -> None:
        connection.execute("DELETE FROM outbox")
        manager.ledger.returned(connection, rows)

    manager.store.run_now(forget)


async def test_what_no_queue_takes_is_unroutable_for_everyone_that_it_was_for(manager):
    """An `all` order that came back is not taken for sent."""
    await manager.hear("web1", "web2")
    order = await manager.block()
    _return(manager)
    assert await manager.states(order) == {"web1": "unroutable", "web2": "unroutable"}


async def test_what_came_back_for_one_agent_says_nothing_about_others(manager):
    """A repeat of an `all` order to one agent comes back: the other agents' answers are still awaited."""
    await manager.hear("web1")
    order = await manager.block()
    manager.confirm()
    manager.clock.passed = 60.0
    await manager.hear("web2")
    assert [row.routing_key for row in manager.outbox()] == ["agent.web2"]
    _return(manager)
    assert await manager.states(order) == {"web1": "waiting", "web2": "unroutable"}


async def test_a_lift_cancels_an_unsent_repeat_for_its_agent_alone(manager):
    """What was sent to others stays theirs to answer, though a repeat to one was taken back."""
    await manager.hear("web1")
    order = await manager.block()
    manager.confirm()
    manager.clock.passed = 60.0
    await manager.hear("web2")
    await manager.unblock()
    assert await manager.states(order) == {"web1": "waiting", "web2": "lifted"}


async def test_an_agent_that_makes_its_queue_gets_what_came_back(manager):
    """An agent whose queue had been deleted is sent the order when it has one again."""
    await manager.hear("web1")
    order = await manager.block()
    _return(manager)
    manager.clock.passed = 5.0
    await manager.hear("web1", queue="new")
    assert [(key, sent.id) for key, sent in manager.confirm()] == [("agent.web1", order.id)]


async def test_an_order_for_nobody_is_unroutable_until_somebody_joins(manager):
    """An order for servers, of which there is none, says so, is found by that word, and is sent to one that joins."""
    await manager.hear("web1")
    order = await manager.block(location="server")
    _return(manager)
    (view,) = await manager.ledger.orders(OrderQuery(state="unroutable"))
    assert (view.id, view.agents) == (order.id, ())
    await manager.hear("manager1", roles=("server",))
    assert await manager.states(order) == {"manager1": "waiting"}
    assert await manager.ledger.orders(OrderQuery(state="unroutable")) == []
