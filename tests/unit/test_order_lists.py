"""Lists of orders: a state lists what is in it, and looks at little else, however much there is in the ledger."""

from typing import get_args

import pytest

from manager.approvals import Word
from manager.ledger import agents, reads
from manager.ledger.reads import Now
from manager.ledger.views import OrderQuery, OrderState
from tests.unit.a_conf import block
from tests.unit.a_manager import ATTACKER, START, expiry
from tests.unit.an_incident import Incident, addresses

ASKING = block("<name>r</name><timeout>600</timeout><approval>yes</approval>")
STATES = [each for some in get_args(OrderState) for each in get_args(some) or [some]]


async def test_a_state_lists_what_is_in_it(incident):
    """For each of them just those of all orders; and the life of an order comes by all that agents can be in."""
    with incident(ASKING) as here:
        await _some_of_each(here)
        everything = await here.manager.ledger.orders(OrderQuery())
        assert {each.state for each in everything} == {*STATES} - {"overdue", "unchanged", "simulated", "stale"}
        for state in STATES:
            found = await here.manager.ledger.orders(OrderQuery(state=state))
            assert [each.id for each in found] == [each.id for each in everything if each.state == state]


@pytest.mark.parametrize("state", STATES)
async def test_what_is_in_no_state_that_is_asked_for_is_not_looked_at(incident, state):
    """A list of nothing asks the same few questions of five hundred orders as of none."""
    with incident(ASKING) as here:
        await here.manager.hear("web1")
        await here.attackers(0.0, *addresses(500))
        if state == "on-hold":
            await here.manager.approvals.refuse(Word(issuer="ann", ids=_ids(here)))
        assert here.manager.store.run_now(lambda connection: _questions(connection, state)) < 5


async def _some_of_each(here: Incident) -> None:
    manager = here.manager
    await manager.hear("web1")
    held, refused, lifted = [each.held[0] for each in await here.attackers(0.0, *addresses(3))]
    await manager.approvals.refuse(Word(issuer="ann", ids=(refused.id,)))
    await manager.unblock(address=lifted.target)
    for number, status in enumerate(("applied", "refused", "failed", "ended")):
        order = await manager.block(f"r{number}", address=f"203.0.113.{number + 20}")
        await manager.answer(order, "web1", status if status != "ended" else "applied")
        if status == "ended":
            await manager.ledger.record([expiry(order.id, "web1", START + 1)])
    await manager.block("waiting", address="203.0.113.30")
    manager.confirm()
    await manager.block("nobody", location="server")
    await manager.hear("gone")
    await manager.block("withdrawn", address="203.0.113.32", location="agent", agents=("gone",))
    manager.store.run_now(lambda connection: agents.withdraw(connection, "gone", "its agent was removed"))
    await manager.block("unsent", address="203.0.113.31")
    assert held.target != ATTACKER


def _ids(here: Incident) -> tuple[str, ...]:
    return tuple(each.order.id for each in here.manager.held())


def _questions(connection, state: OrderState) -> int:
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    reads.orders(connection, OrderQuery(state=state), Now(at=START, living=(), answer_within=10.0))
    connection.set_trace_callback(None)
    return len(asked)
