"""An agent's queue on a real broker follows its roles."""

import pytest

from shared import topology
from shared.broker import Publication, Publisher
from shared.errors import Unroutable
from tests.running import connected

pytestmark = pytest.mark.broker
FOR_SERVERS = Publication(exchange=topology.ORDERS, routing_key="server", kind="order", message_id="1", body=b"")


async def test_a_role_that_was_taken_away_takes_its_orders_along(broker):
    """A queue that was once a server's gets no order for servers after the agent has declared it without the role."""
    for roles, reached in ((("server",), True), ((), False), (("server",), True), ((), False), ((), False)):
        queue = topology.agent_queue("web1", roles, "classic")
        publisher = Publisher(broker.settings, "agent", (*topology.exchanges(), queue))
        async with connected(publisher):
            assert await _is_routed(publisher) is reached


async def _is_routed(publisher: Publisher) -> bool:
    try:
        await publisher.publish(FOR_SERVERS)
    except Unroutable:
        return False
    return True
