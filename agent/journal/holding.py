"""Which orders hold an effect, or were taken and are to hold one: what can be lifted, for whoever chooses."""

from msgspec import Struct

from shared import codec
from shared.messages import Order
from shared.store import Connection, Row

_HOLDING = """
SELECT h.order_id, h.exempt, h.adopted, COALESCE(o.forget_at, 0) AS forget_at, e.action, e.key, e.target
FROM holders h JOIN effects e ON e.action = h.action AND e.key = h.key LEFT JOIN orders o ON o.id = h.order_id
"""
_COMING = "SELECT id, body, action, forget_at FROM orders WHERE status IS NULL AND key != '' ORDER BY seq"


class Hold(Struct, frozen=True, kw_only=True):
    """An order that holds an effect, or that was taken and is to hold one; or nobody's hold on what was adopted, or
    could not be ended.
    """

    order_id: str
    action: str
    target: str
    key: str = ""  # of the effect that it holds, if it holds one by now
    exempt: bool
    forget_at: float
    adopted: bool = False


def holds(connection: Connection) -> list[Hold]:
    """All that is in force or about to be."""
    holding = [_hold(row) for row in connection.execute(_HOLDING)]
    return holding + [_coming(row) for row in connection.execute(_COMING)]


def _hold(row: Row) -> Hold:
    return Hold(
        order_id=row["order_id"],
        action=row["action"],
        target=row["target"],
        key=row["key"],
        exempt=bool(row["exempt"]),
        forget_at=row["forget_at"],
        adopted=bool(row["adopted"]),
    )


def _coming(row: Row) -> Hold:
    order = codec.decode(row["body"], Order)
    return Hold(
        order_id=order.id,
        action=row["action"],
        target=order.target,
        exempt=order.exempt,
        forget_at=row["forget_at"],
    )
