"""Orders on hold: written down and sent to nobody, until a person lets them through or turns them down.

They have no agents and nothing in the outbox, and are stamped anew when they are released. One of a response that
is on hold stands for all that ask for the same effect in the same place.
"""

from collections.abc import Collection, Iterable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from manager.ledger import agents, answers, offenders, orders
from manager.ledger.offenders import Offender
from manager.ledger.orders import UNTIL_LIFTED, Audience
from manager.ledger.schema import FOREVER
from shared import codec, topology
from shared.errors import NotOnHold
from shared.messages import ONE_SHOT, Order
from shared.store import Connection, Row

Reason = Literal["breaker", "approval", "paused"]

_HOLD = "UPDATE orders SET phase = 'on-hold', hold = ?, held_at = ? WHERE id = ?"
_OFFENCE = "INSERT INTO held_offences (order_id, response, offence) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_ALIKE = """
SELECT * FROM orders WHERE target = ? AND until >= ? AND phase = 'on-hold' AND response <> '' AND action = ?
"""
_LONGER = "UPDATE orders SET body = ? WHERE id = ?"
_FIND = "SELECT * FROM orders WHERE phase = 'on-hold'"
_WITH = {"response": " AND response = ?", "target": " AND target = ?"}
_OLDEST = " AND held_at <= ? ORDER BY held_at, id LIMIT ?"
_NAMED = "SELECT * FROM orders WHERE id >= ? AND id < ? LIMIT 2"
_HOLDS = "SELECT 1 FROM orders WHERE id = ? AND phase = 'on-hold'"
_ANY = "SELECT 1 FROM orders WHERE phase = 'on-hold' LIMIT 1"
_LATEST = "SELECT max(held_at) FROM orders WHERE phase = 'on-hold'"
_COUNT = "SELECT count(*) FROM orders WHERE phase = 'on-hold'"
_BY_REASON = "SELECT hold, count(*) AS many FROM orders WHERE phase = 'on-hold' GROUP BY hold"
_LEFT_OF = "SELECT 1 FROM orders WHERE phase = 'on-hold' AND response = ? AND hold = 'breaker' LIMIT 1"
_RELEASE = """
UPDATE orders SET phase = 'released', hold_note = ?, issued_at = ?, deadline = ?, until = ?, body = ? WHERE id = ?
"""
_NOT_APPROVED = """
UPDATE orders SET phase = 'not-approved', hold_note = ?, deadline = ?, until = ? WHERE id = ?
"""
_UNEXPECT = "DELETE FROM order_agents WHERE order_id = ? AND state = 'on-hold'"
_OFFENCES = "DELETE FROM held_offences WHERE order_id = ? RETURNING response, offence"
_MAY_HAVE = """
SELECT agent_id FROM order_agents
WHERE order_id = ? AND (state IN ('applied', 'unchanged') OR (state = 'on-hold' AND note = 'taken back'))
"""

# What a pause takes back: orders of which the broker has confirmed nothing. Of others, what is unsent is dropped from
# the outbox alone, and sent again by catch-up when the pause is over; so is the word that this was all.
_TAKE_BACK = """
UPDATE orders SET phase = 'on-hold', hold = 'paused', held_at = ?, hold_note = '', until = ?
WHERE operation = 'add' AND is_foreign = 0 AND sent_at IS NULL AND lifted_by IS NULL AND phase = 'released'
    AND id IN (SELECT message_id FROM outbox WHERE kind = 'order')
"""
_EXPECT_NOT = """
UPDATE order_agents SET state = 'on-hold', note = CASE state WHEN 'waiting' THEN 'taken back' ELSE note END
WHERE state IN ('waiting', 'unroutable')
    AND order_id IN (SELECT id FROM orders WHERE phase = 'on-hold' AND hold = 'paused' AND held_at = ?)
"""
# Offences of these alone are none: whose target is blocked by an earlier order is where it was.
_ONLY_THESE = """
SELECT o.id, f.response, f.target, f.offence FROM orders o
    JOIN offenders f ON f.response = o.response AND f.target = o.target
WHERE o.phase = 'on-hold' AND o.hold = 'paused' AND o.held_at = ? AND o.lasting = 1 AND o.dry_run = 0
    AND f.ends_at > ? AND NOT EXISTS (
        SELECT 1 FROM orders p WHERE p.target = o.target AND p.until > ? AND p.response = o.response
            AND p.phase = 'released' AND p.lasting = 1 AND p.dry_run = 0 AND p.lifted_by IS NULL)
"""
_DROP_ADDS = """
DELETE FROM outbox WHERE kind = 'order'
    AND EXISTS (SELECT 1 FROM orders WHERE id = outbox.message_id AND operation = 'add')
"""
_DROP_ENDINGS = "DELETE FROM outbox WHERE kind = ? AND routing_key <> 'all'"
_ANY_TAKEN_BACK = "SELECT 1 FROM orders WHERE phase = 'on-hold' AND hold = 'paused' LIMIT 1"
_WAS_SENT = """
UPDATE orders SET phase = 'released', hold_note = 'it was on its way when the pause came' WHERE id = ?
    AND phase = 'on-hold' AND hold = 'paused' RETURNING body
"""
_UNTIL = "UPDATE orders SET until = ? WHERE id = ?"
_EXPECT_AGAIN = "UPDATE order_agents SET state = 'waiting', note = '' WHERE order_id = ? AND state = 'on-hold'"


class OnHold(Struct, frozen=True, kw_only=True):
    """An order that is on hold, as it was decided."""

    order: Order
    reason: Reason
    origin: str


class Selection(Struct, frozen=True, kw_only=True):
    """Which orders on hold are meant; without a response and a target, all of them."""

    response: str | None = None
    target: str | None = None  # normalised


def keep(
    connection: Connection, order: Order, origin: str, reason: Reason, offences: Iterable[tuple[str, int]], now: float
) -> None:
    """Writes `order` down as on hold. `offences` are what it counts as once it is released: response and number."""
    if orders.write(connection, order, origin, codec.encode(order), FOREVER):
        connection.execute(_HOLD, (reason, now, order.id))
        connection.executemany(_OFFENCE, [(order.id, response, offence) for response, offence in offences])


def join(connection: Connection, order: Order, stands: Order, offences: Iterable[tuple[str, int]]) -> None:
    """Lets `stands`, which is on hold, stand for `order` too: it takes its offences, and its time if it is longer."""
    connection.executemany(_OFFENCE, [(stands.id, response, offence) for response, offence in offences])
    if (order.timeout or FOREVER) > (stands.timeout or FOREVER):
        longer = replace(
            stands,
            timeout=order.timeout,
            deadline=order.deadline,
            expires_at=order.expires_at,
            offence=max(order.offence, stands.offence),
        )
        connection.execute(_LONGER, (codec.encode(longer), stands.id))


def alike(connection: Connection, order: Order) -> OnHold | None:
    """The order of a response that is on hold for the same effect in the same place, if there is one."""
    for row in connection.execute(_ALIKE, (order.target, FOREVER, order.action)).fetchall():
        held = _of(row)
        if _effect(held.order) == _effect(order):
            return held
    return None


def find(connection: Connection, wanted: Selection, before: float, limit: int) -> list[OnHold]:
    """Orders on hold since `before`, the oldest first."""
    given = [(name, value) for name in _WITH if (value := getattr(wanted, name)) is not None]
    query = _FIND + "".join(_WITH[name] for name, _ in given) + _OLDEST
    return [_of(row) for row in connection.execute(query, (*(value for _, value in given), before, limit)).fetchall()]


def named(connection: Connection, order_id: str) -> OnHold:
    """The order with this id, or the only one whose id begins so. Raises NotOnHold when it isn't on hold."""
    rows = connection.execute(_NAMED, (order_id, f"{order_id}\uffff")).fetchall()
    if len(rows) != 1:
        raise NotOnHold(f"no order, or more than one, has an id that begins with {order_id[:64]!r}")
    (row,) = rows
    if row["phase"] != "on-hold":
        raise NotOnHold(f"order {row['id'][:12]} isn't on hold" + (f": {row['hold_note']}" if row["hold_note"] else ""))
    return _of(row)


def latest(connection: Connection, now: float) -> float:
    """An instant by which all that is on hold now is: a clock that was set back makes some of it lie ahead."""
    (held_at,) = connection.execute(_LATEST).fetchone()
    return max(now, held_at or 0.0)


def may_have(connection: Connection, order_id: str) -> tuple[str, ...]:
    """The agents that have it all the same, or may get it: a pause took it back and it may have been on its way."""
    return tuple(row["agent_id"] for row in connection.execute(_MAY_HAVE, (order_id,)))


def is_any(connection: Connection) -> bool:
    """True while something is on hold."""
    return connection.execute(_ANY).fetchone() is not None


def count(connection: Connection) -> int:
    """How many are on hold."""
    (many,) = connection.execute(_COUNT).fetchone()
    return int(many)


def holds(connection: Connection, order_id: str) -> bool:
    """True when this order is on hold."""
    return connection.execute(_HOLDS, (order_id,)).fetchone() is not None


def by_reason(connection: Connection) -> dict[str, int]:
    """How many are on hold, by reason."""
    return {row["hold"]: row["many"] for row in connection.execute(_BY_REASON)}


def left_of(connection: Connection, response: str) -> bool:
    """True while the breaker holds back anything of `response`."""
    return connection.execute(_LEFT_OF, (response,)).fetchone() is not None


def release(connection: Connection, held: OnHold, audience: Audience, note: str, now: float) -> Order:
    """Sends the order off with its full time; what it counts as counts from now."""
    order = _stamped(held.order, now)
    body, until = codec.encode(order), orders.end_of(order)
    connection.execute(_RELEASE, (note, now, order.deadline, until, body, order.id))
    connection.execute(_UNEXPECT, (order.id,))
    orders.send(connection, order, audience, body, until)
    if held.reason == "paused":  # it may have been on its way, and answered
        for agent in audience.known:
            answers.recall(connection, order.id, agent, now)
    _offend(connection, order, until)
    return order


def turn_down(connection: Connection, held: OnHold, note: str, now: float) -> None:
    """The order is not approved: it counts as nothing, and is sent to nobody."""
    connection.execute(_NOT_APPROVED, (note, now, now, held.order.id))
    connection.execute(_UNEXPECT, (held.order.id,))
    connection.execute(_OFFENCES, (held.order.id,)).fetchall()


def take_back(connection: Connection, now: float) -> int:
    """Puts on hold, for a pause, what has not been sent, and drops from the outbox what else is no lift; how many."""
    taken = connection.execute(_TAKE_BACK, (now, FOREVER)).rowcount
    connection.execute(_EXPECT_NOT, (now,))
    only = connection.execute(_ONLY_THESE, (now, now, now)).fetchall()
    connection.executemany(_OFFENCE, [(row["id"], row["response"], row["offence"]) for row in only])
    for response, target in {(row["response"], row["target"]) for row in only}:
        offenders.undo(connection, response, target, now)
    connection.execute(_DROP_ADDS)
    connection.execute(_DROP_ENDINGS, (topology.POLICY,))
    return taken


def were_sent(connection: Connection, ids: Collection[str], now: float) -> None:
    """The broker has confirmed these: what of them a pause has taken back was on its way, and isn't on hold."""
    if connection.execute(_ANY_TAKEN_BACK).fetchone() is None:
        return
    rows = [row for order_id in ids for row in connection.execute(_WAS_SENT, (order_id,)).fetchall()]
    for order in (codec.decode(row["body"], Order) for row in rows):
        connection.execute(_UNTIL, (orders.end_of(order), order.id))
        connection.execute(_EXPECT_AGAIN, (order.id,))
        _offend(connection, order, orders.end_of(order))
    for agent in agents.load(connection) if rows else ():  # who came meanwhile was not expected to have them
        orders.join(connection, agent.id, agent.heartbeat.roles, now)


def _effect(order: Order) -> tuple[object, ...]:
    place = (order.location, order.agents)
    return (order.action, order.arguments, *place, order.target, order.dry_run, orders.is_lasting(order))


def _stamped(order: Order, now: float) -> Order:
    if order.timeout is not None:
        return replace(order, issued_at=now, deadline=now + order.timeout, expires_at=now + order.timeout)
    return replace(order, issued_at=now, deadline=now + (UNTIL_LIFTED if orders.is_lasting(order) else ONE_SHOT))


def _offend(connection: Connection, order: Order, until: float) -> None:
    for row in connection.execute(_OFFENCES, (order.id,)).fetchall():
        known = offenders.find(connection, row["response"], order.target) or Offender(offence=0, ends_at=0.0)
        offender = Offender(offence=max(known.offence, row["offence"]), ends_at=max(known.ends_at, until))
        offenders.put(connection, row["response"], order.target, offender)


def _of(row: Row) -> OnHold:
    return OnHold(order=codec.decode(row["body"], Order), reason=row["hold"], origin=row["origin"])
