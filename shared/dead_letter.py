"""A message that can't be taken, on its way to the dead letters: what it was, cut to size, and why."""

from shared.broker import Delivery, Publication
from shared.errors import MessageError
from shared.topology import DEAD

KEPT = 64 * 1024  # bytes of a body that are kept
DETAIL = 400  # characters of what was wrong with it


def letter(delivery: Delivery, error: MessageError) -> Publication:
    """The message that carries `delivery` there, under the routing key that it came with."""
    return Publication(
        exchange=DEAD,
        routing_key=delivery.routing_key,
        kind=delivery.kind,
        message_id=delivery.message_id,
        body=delivery.body[:KEPT],
        reason=error.reason,
        detail="; ".join(filter(None, (str(error)[:DETAIL], delivery.sender and f"sent by {delivery.sender}"))),
        died_in=delivery.queue,
    )
