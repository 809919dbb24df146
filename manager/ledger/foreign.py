"""Orders that another correlator gave: into the ledger whole, so that from then on they are orders like any other.

They are seen as the broker carries them, beside our own, which are known by their id. The first writer wins.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from manager.ledger import answers, offenders, orders
from manager.ledger.orders import Audience
from manager.ledger.schema import FOREVER
from manager.ledger.views import FOREIGN
from shared import codec
from shared.messages import Order
from shared.store import Connection, Row
from shared.targets import one_spelling

_BODY = "SELECT body, is_foreign, lifted_by FROM orders WHERE id = ?"
_FORGET_GUESSES = "DELETE FROM order_agents WHERE order_id = ?"
_GIVEN = "UPDATE orders SET sent_at = ?, lasting = ?, target = ? WHERE id = ?"
_UNTIL = "SELECT until FROM orders WHERE id = ?"

Outcome = Literal["taken", "known", "clash"]


class Given(Struct, frozen=True, kw_only=True):
    """An order as it was seen. `body` is it as it was sent; `lasting`: its effect is held until an end."""

    order: Order
    body: bytes
    audience: Audience
    lasting: bool


class Admitted(Struct, frozen=True, kw_only=True):
    """What became of an order that was seen."""

    order: Order
    outcome: Outcome  # clash: its id is that of another order
    unknown: tuple[str, ...] = ()  # agents that it names and nobody goes by
    lifted: tuple[Order, ...] = ()  # orders that it ends wherever they are


def known(connection: Connection, seen: Iterable[tuple[str, bytes]]) -> set[str]:
    """Those of the ids under which the ledger holds just this body."""
    rows = ((order_id, body, connection.execute(_BODY, (order_id,)).fetchone()) for order_id, body in seen)
    return {order_id for order_id, body, row in rows if row is not None and row["body"] == body}


def admit(connection: Connection, given: Sequence[Given], now: float) -> list[Admitted]:
    """Writes down orders, whom they are for, what was answered before they were seen, and what they lift."""
    return [_admit(connection, each, now) for each in given]


def _admit(connection: Connection, given: Given, now: float) -> Admitted:
    order = given.order
    row: Row | None = connection.execute(_BODY, (order.id,)).fetchone()
    if row is not None and not row["is_foreign"]:
        return Admitted(order=order, outcome="known" if _is_the_same(order, row["body"]) else "clash")
    connection.execute(_FORGET_GUESSES, (order.id,))  # made from answers alone
    until = _until(connection, given, now)
    orders.write(connection, order, FOREIGN, given.body, until)
    connection.execute(_GIVEN, (now, given.lasting, one_spelling(order.target), order.id))
    orders.expect(connection, order, given.audience, until, now)
    for agent_id in given.audience.known + given.audience.unknown:
        answers.recall(connection, order.id, agent_id, now)
    lifted = tuple(_lift(connection, given, now)) if order.operation == "delete" and not order.dry_run else ()
    return Admitted(order=order, outcome="taken", unknown=given.audience.unknown, lifted=lifted)


def _is_the_same(order: Order, body: bytes) -> bool:
    """What is sent again, by us or by the other one, may have a later deadline."""
    return replace(codec.decode(body, Order), deadline=order.deadline) == order


def _until(connection: Connection, given: Given, now: float) -> float:
    """When it stops to matter. Its sender's clock is nobody's we know, so a timeout counts from now."""
    order = given.order
    if order.operation == "delete":
        ends = [row["until"] for each in order.lifts for row in connection.execute(_UNTIL, (each,))]
        return min(max(ends, default=FOREVER), order.deadline)
    if order.expires_at is None and order.timeout is not None:
        return now + order.timeout
    return orders.end_of(order) if order.expires_at is not None or not given.lasting else FOREVER


def _lift(connection: Connection, given: Given, now: float) -> Iterator[Order]:
    """Marks what a delete ends everywhere. Where it ends an order on some of its agents alone, these will say so."""
    for order_id in given.order.lifts:
        row = connection.execute(_BODY, (order_id,)).fetchone()
        if row is None or row["is_foreign"] or row["lifted_by"] is not None:
            continue
        order = codec.decode(row["body"], Order)
        order = replace(order, target=one_spelling(order.target))
        if _covers(given, order):
            orders.lift(connection, order, given.order)
            offenders.end_unheld(connection, order.target, now)
            yield order


def _covers(given: Given, order: Order) -> bool:
    """True when the delete reaches everybody that `order` is for, also who joins later."""
    delete = given.order
    match order.location:
        case "all" | "server":
            return delete.location in ("all", order.location)
        case _:
            return delete.location == "all" or {*order.agents} <= {*delete.agents, *given.audience.known}
