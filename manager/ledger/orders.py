"""Orders in the ledger: put once with the agents they are for and the messages that carry them, lifted, confirmed.

First writer wins by id: on a repeat the stored row is used unchanged and nothing is sent.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from manager.ledger import answers
from manager.ledger.schema import FOREVER
from shared import codec, outbox, topology
from shared.broker import Publication
from shared.messages import Operation, Order
from shared.store import Connection

KIND = "order"  # the AMQP `type`
UNTIL_LIFTED = 30 * 86_400.0  # s: the deadline of what has no end, and of every delete; restamped when sent again
EVERY = 2**31 - 1  # a limit that is none
LIFTABLE = (
    "waiting",
    "unroutable",
    "applied",
    "unchanged",
    "stale",
    "withdrawn",
)  # states that may hold an effect, or come to

_PUT = """
INSERT INTO orders (id, origin, response, operation, action, location, target, dry_run, lasting, is_foreign,
    issued_at, deadline, until, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET origin = excluded.origin, response = excluded.response,
    operation = excluded.operation, action = excluded.action, location = excluded.location,
    target = excluded.target, dry_run = excluded.dry_run, lasting = excluded.lasting, is_foreign = 0,
    issued_at = excluded.issued_at, deadline = excluded.deadline, until = excluded.until, body = excluded.body
WHERE orders.is_foreign = 1
"""
_EXPECT = """
INSERT INTO order_agents (order_id, agent_id, state, since, deadline, until, note)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_SENT = "UPDATE orders SET sent_at = ? WHERE id = ? AND sent_at IS NULL"
_OF_ORIGIN = "SELECT body FROM orders WHERE origin = ? AND operation = ? ORDER BY issued_at, id"
_OPEN_ON_TARGET = """
SELECT body, until, phase FROM orders
WHERE target = ? AND until > ? AND lasting = 1 AND dry_run = 0 AND lifted_by IS NULL ORDER BY issued_at, id
"""
_OPEN_TARGETS = """
SELECT DISTINCT target FROM orders WHERE target >= ? AND until > ? AND lasting = 1 AND dry_run = 0
    AND lifted_by IS NULL ORDER BY target LIMIT ?
"""
_FIND = "SELECT body FROM orders WHERE id = ? AND is_foreign = 0"
_PLACES = "SELECT agent_id, state FROM order_agents WHERE order_id = ?"
_LIFT = """
UPDATE orders SET lifted_by = ?, until = CASE WHEN until > ? THEN ? ELSE until END,
    phase = CASE WHEN phase = 'on-hold' THEN 'lifted' ELSE phase END
WHERE id = ?
"""
# A row alone that changes: each is a page of the index by agents.
_REMEMBER = "UPDATE order_agents SET until = ? WHERE order_id = ? AND until > ?"
_LIFT_UNSENT = """
UPDATE order_agents SET state = 'lifted', note = CASE state
    WHEN 'unroutable' THEN 'lifted before it had anywhere to go' ELSE 'lifted before it was released' END
WHERE order_id = ? AND state IN ('unroutable', 'on-hold')
"""
_UNSEND = "DELETE FROM outbox WHERE message_id = ? AND kind = ? RETURNING routing_key"
_CANCEL = """
UPDATE order_agents SET state = 'lifted', note = 'cancelled before it was sent'
WHERE order_id = ? AND state IN ('waiting', 'unroutable')
"""
_AT = " AND agent_id = ?"
_JOINED = """
INSERT INTO order_agents (order_id, agent_id, state, since, deadline, until, note)
SELECT id, ?, 'waiting', ?, CASE WHEN until < deadline THEN until ELSE deadline END, until, 'joined later' FROM orders
WHERE until > ? AND (location = 'all' OR (location = 'server' AND ?)) AND dry_run = 0 AND is_foreign = 0
    AND (lasting = 1 OR operation = 'delete') AND lifted_by IS NULL AND phase = 'released'
ON CONFLICT DO NOTHING RETURNING order_id
"""
# What a removed agent had answered it answers in the same words when it is back, and that is no news.
_ROUTABLE = """
UPDATE order_agents SET since = ?, note = 'joined later',
    state = CASE WHEN status IN ('applied', 'unchanged') AND ended_at IS NULL THEN status ELSE 'waiting' END
WHERE agent_id = ? AND until > ? AND state IN ('unroutable', 'withdrawn')
"""


class Audience(Struct, frozen=True, kw_only=True):
    """Whom an order is for: the agents that are expected to answer, and names that nobody goes by."""

    known: tuple[str, ...]
    unknown: tuple[str, ...] = ()


class Open(Struct, frozen=True, kw_only=True):
    """An order that has not ended, and where it may be, or would go."""

    order: Order
    until: float
    agents: tuple[str, ...]


def put(connection: Connection, order: Order, origin: str, audience: Audience, until: float | None = None) -> bool:
    """Writes down `order`, whom it is for, and the messages that carry it. False, and nothing done, for a repeat.

    `origin` is the alert or the request that it comes from; `until` is when it stops to matter, if that is not its
    own end.
    """
    body, until = codec.encode(order), end_of(order) if until is None else until
    if not write(connection, order, origin, body, until):
        return False
    send(connection, order, audience, body, until)
    return True


def write(connection: Connection, order: Order, origin: str, body: bytes, until: float) -> bool:
    """Writes down `order` alone: nobody is expected to have it, and nothing is sent. False for a repeat."""
    row = (order.id, origin, order.response, order.operation, order.action, order.location, order.target)
    times = (order.issued_at, order.deadline, until)
    return connection.execute(_PUT, (*row, order.dry_run, is_lasting(order), *times, body)).rowcount == 1


def send(connection: Connection, order: Order, audience: Audience, body: bytes, until: float) -> None:
    """Expects an order that was written down of `audience`, and puts the messages that carry it into the outbox."""
    expect(connection, order, audience, until, order.issued_at)
    outbox.put(connection, publications(order, audience, body))


def expect(connection: Connection, order: Order, audience: Audience, until: float, since: float) -> None:
    """Expects an order that was written down of `audience`, from `since` on, for as long as it matters."""
    expected = [(agent, "waiting", "") for agent in audience.known]
    expected += [(agent, "unroutable", "not in the roster, or gone") for agent in audience.unknown]
    deadline = min(order.deadline, until)
    rows = ((order.id, agent, state, since, deadline, until, note) for agent, state, note in expected)
    connection.executemany(_EXPECT, rows)


def is_lasting(order: Order) -> bool:
    """True for an `add` whose effect is held until an end."""
    return order.operation == "add" and order.lasting


def end_of(order: Order) -> float:
    """When `order` stops to matter: its effect's end, FOREVER until lifted, a one-shot's deadline."""
    if order.expires_at is not None:
        return order.expires_at
    return FOREVER if is_lasting(order) else order.deadline


def publications(order: Order, audience: Audience, body: bytes) -> list[Publication]:
    """One message for each routing key; none to a name that nobody goes by."""
    named = order.location in ("local", "agent")
    reachable = replace(order, agents=audience.known) if named else order
    return [publication(order, key, body) for key in topology.order_keys(reachable)]


def publication(order: Order, key: str, body: bytes) -> Publication:
    """The message that carries `order` under `key`."""
    return Publication(
        exchange=topology.ORDERS,
        routing_key=key,
        kind=KIND,
        message_id=order.id,
        body=body,
        expires_at=order.deadline,
    )


def confirmed(connection: Connection, published: Sequence[Publication], now: float) -> None:
    """The broker has these: their orders are sent."""
    connection.executemany(_SENT, {(now, each.message_id) for each in published if each.kind == KIND})


def of_origin(connection: Connection, origin: str, operation: Operation) -> list[Order]:
    """The orders that came of one alert or request, as they were written down."""
    return [_order(row["body"]) for row in connection.execute(_OF_ORIGIN, (origin, operation))]


def open_on(connection: Connection, target: str, now: float) -> list[Open]:
    """Every lasting order on `target` that may still be in force somewhere, or come to be."""
    found = []
    for row in connection.execute(_OPEN_ON_TARGET, (target, now)).fetchall():
        order = replace(_order(row["body"]), target=target)  # another correlator may spell it otherwise
        places = _places(connection, order.id)
        agents = tuple(agent for agent, state in places if state in LIFTABLE)
        if row["phase"] == "on-hold":  # of what was taken back, something may have been on its way
            agents = tuple(dict.fromkeys((*agents, *order.agents)))
        if agents or not places or row["phase"] == "on-hold":  # no places: an `all` before the first agent was seen
            found.append(Open(order=order, until=row["until"], agents=agents))
    return found


def open_targets(connection: Connection, now: float, first: str = "", limit: int = EVERY) -> list[str]:
    """Targets that `open_on` may have something for, in order, from `first` on."""
    return [row["target"] for row in connection.execute(_OPEN_TARGETS, (first, now, limit))]


def find(connection: Connection, order_id: str) -> Order | None:
    """The order with that id as it was written down, or None."""
    row = connection.execute(_FIND, (order_id,)).fetchone()
    return None if row is None else _order(row["body"])


def lift(connection: Connection, order: Order, by: Order) -> None:
    """Marks `order` as ended by the delete `by`, and takes back what of it has not been sent.

    It stays in force on an agent until that agent says otherwise, but is remembered no longer than the delete.
    """
    connection.execute(_LIFT, (by.id, by.deadline, by.deadline, order.id))
    connection.execute(_REMEMBER, (by.deadline, order.id, by.deadline))
    connection.execute(_LIFT_UNSENT, (order.id,))
    for row in connection.execute(_UNSEND, (order.id, KIND)).fetchall():
        _, dot, agent = row["routing_key"].partition(".")
        if dot:
            connection.execute(_CANCEL + _AT, (order.id, agent))
        else:
            connection.execute(_CANCEL, (order.id,))


def join(connection: Connection, agent_id: str, roles: Iterable[str], now: float) -> None:
    """Expects `agent_id` to hold what is in force for everyone, and what named it before it was known, or removed."""
    server = "server" in roles
    joined = connection.execute(_JOINED, (agent_id, now, now, server)).fetchall()
    for row in joined:  # it may have had the order, and answered, before its first heartbeat was seen
        answers.recall(connection, row["order_id"], agent_id, now)
    connection.execute(_ROUTABLE, (now, agent_id, now))


def _places(connection: Connection, order_id: str) -> list[tuple[str, str]]:
    return [(row["agent_id"], row["state"]) for row in connection.execute(_PLACES, (order_id,))]


def _order(body: bytes) -> Order:
    return codec.decode(body, Order)
