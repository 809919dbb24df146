"""What the agent says about orders: answers and ends, as messages on their way out and as the journal keeps them."""

from msgspec.structs import replace

from shared import codec
from shared.broker import Publication
from shared.ids import digest
from shared.messages import Acknowledgement, Expiry, Order
from shared.store import Connection, Row
from shared.topology import EVENTS

_ANSWER = """
UPDATE orders SET status = ?, detail = ?, exit_code = ?, settled_at = ?, expires_at = ? WHERE id = ?
"""
_BODY = "UPDATE orders SET body = ? WHERE id = ?"
_END = "UPDATE orders SET ended_at = ?, cause = ?, outcome = ?, ended_detail = ? WHERE id = ?"


def of_acknowledgement(said: Acknowledgement) -> Publication:
    """The message that carries an answer. Its id is the same whenever the answer is given again."""
    return Publication(
        exchange=EVENTS,
        routing_key=f"acknowledgement.{said.agent_id}",
        kind="acknowledgement",
        message_id=digest("acknowledgement", said.agent_id, said.order_id, said.settled_at),
        body=codec.encode(said),
    )


def of_expiry(said: Expiry) -> Publication:
    """The message that carries an end."""
    return Publication(
        exchange=EVENTS,
        routing_key=f"expiry.{said.agent_id}",
        kind="expiry",
        message_id=digest("expiry", said.agent_id, said.order_id, said.at),
        body=codec.encode(said),
    )


def keep_answer(connection: Connection, said: Acknowledgement) -> None:
    """Writes an answer into the row of its order."""
    row = (said.status, said.detail, said.exit_code, said.settled_at, said.expires_at, said.order_id)
    connection.execute(_ANSWER, row)


def forget_alert(connection: Connection, order: Order) -> None:
    """Takes its alert, of up to 64 KiB, out of an order that was answered and is kept for a day more."""
    if order.alert:
        connection.execute(_BODY, (codec.encode(replace(order, alert={})), order.id))


def keep_end(connection: Connection, said: Expiry) -> None:
    """Writes an end into the row of its order."""
    connection.execute(_END, (said.at, said.cause, said.outcome, said.detail, said.order_id))


def given(row: Row, agent_id: str) -> list[Publication]:
    """What was said about the order in `row` so far, to be said again word for word: its answer, and its end."""
    answer = Acknowledgement(
        order_id=row["id"],
        agent_id=agent_id,
        status=row["status"],
        detail=row["detail"],
        exit_code=row["exit_code"],
        received_at=row["received_at"],
        settled_at=row["settled_at"],
        expires_at=row["expires_at"],
    )
    said = [of_acknowledgement(answer)]
    if row["ended_at"] is not None:
        order = codec.decode(row["body"], Order)
        said.append(of_expiry(_end(row, order, agent_id)))
    return said


def _end(row: Row, order: Order, agent_id: str) -> Expiry:
    return Expiry(
        order_id=order.id,
        agent_id=agent_id,
        action=order.action,
        target=order.target,
        cause=row["cause"],
        outcome=row["outcome"],
        detail=row["ended_detail"],
        at=row["ended_at"],
    )
