"""Ends orders early, on somebody's word: makes the deletes that name them, in the caller's transaction.

A delete names every order that it ends, so that an add which it overtakes is known for lifted when it comes.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from manager.ledger import offenders, orders
from manager.ledger.orders import UNTIL_LIFTED, Open
from manager.roster import Members
from shared.ids import digest
from shared.messages import Location, Order
from shared.store import Connection


class Lifting(Struct, frozen=True, kw_only=True):
    """Whose word it is. The same `request_id` makes the same deletes of the same orders."""

    request_id: str
    reason: str = ""
    issuer: str = ""


def lift(connection: Connection, found: Iterable[Open], word: Lifting, members: Members, now: float) -> list[Order]:
    """The deletes that end `found`, of any targets, as they were written down; what is unsent is taken back.

    What their targets do from now on is a new offence, where no other order of the response blocks them. The outbox is
    to be woken once the transaction is committed.
    """
    found = list(found)
    deletes = [_delete(connection, word, place, members, now) for place in _by_place(found)]
    for target in {each.order.target for each in found}:
        offenders.end_unheld(connection, target, now)
    return deletes


class _Place(Struct, frozen=True, kw_only=True):
    """Orders that one delete ends: of one action and target, in one place."""

    action: str
    location: Location
    agents: tuple[str, ...]
    target: str
    lifted: tuple[Open, ...]


def _delete(connection: Connection, word: Lifting, some: _Place, members: Members, now: float) -> Order:
    lifts = tuple(each.order.id for each in some.lifted)
    order = Order(
        id=digest(word.request_id, "", "delete", lifts, some.location, some.agents, some.target),
        operation="delete",
        action=some.action,
        location=some.location,
        agents=some.agents,
        target=some.target,
        lifts=lifts,
        issued_at=now,
        deadline=now + UNTIL_LIFTED,
        reason=word.reason,
        issuer=word.issuer,
    )
    until = min(max(each.until for each in some.lifted), order.deadline)
    orders.put(connection, order, word.request_id, members.audience(order.location, order.agents), until)
    for each in some.lifted:
        orders.lift(connection, each.order, order)
    return order


def _by_place(found: Iterable[Open]) -> list[_Place]:
    """What a delete for each effect and place has to name. Where one order is for all, one delete for all does."""
    places: dict[tuple[str, str, Location], list[Open]] = {}
    found = list(found)
    everywhere = {_effect(each.order) for each in found if each.order.location == "all"}
    for each in found:
        effect = _effect(each.order)
        location: Location = "all" if effect in everywhere else "server" if each.order.location == "server" else "agent"
        places.setdefault((*effect, location), []).append(each)
    return [_place(location, some) for (_, _, location), some in places.items()]


def _effect(order: Order) -> tuple[str, str]:
    return order.action, order.target


def _place(location: Location, some: Sequence[Open]) -> _Place:
    agents = sorted({agent for each in some for agent in each.agents}) if location == "agent" else []
    order = some[0].order
    return _Place(action=order.action, location=location, agents=tuple(agents), target=order.target, lifted=tuple(some))
