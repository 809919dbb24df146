"""Messages with what goes around their bodies: on their way out, and as they came in."""

from msgspec import Struct


class Publication(Struct, frozen=True, kw_only=True):
    """A message on its way out."""

    exchange: str
    routing_key: str
    kind: str  # the AMQP `type`: order, acknowledgement, …
    message_id: str
    body: bytes
    expires_at: float | None = None  # Unix seconds; what is left then is the message's `expiration`
    reason: str = ""  # of a dead letter
    transient: bool = False  # a heartbeat: lost with the broker, and nobody minds if no queue takes it


class Delivery(Struct, frozen=True, kw_only=True):
    """A message that came in."""

    body: bytes
    exchange: str
    routing_key: str
    kind: str
    message_id: str
    reason: str
    redelivered: bool
    queue: str
    tag: int
    connection: int  # which connection it came on; an ack on another one would be wrong
