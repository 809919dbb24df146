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
    reason: str = ""  # of a dead letter: a closed word,
    detail: str = ""  # a sentence,
    died_in: str = ""  # and the queue that it was taken off
    transient: bool = False  # a heartbeat: lost with the broker, and nobody minds if no queue takes it


class Delivery(Struct, frozen=True, kw_only=True):
    """A message that came in."""

    body: bytes
    exchange: str
    routing_key: str
    kind: str
    message_id: str
    reason: str  # of a dead letter, as are `detail` and `died_in`
    redelivered: bool
    queue: str
    tag: int
    connection: int  # which connection it came on; an ack on another one would be wrong
    sender: str = ""  # the login that it was sent with, checked by the broker; empty when the sender didn't say
    detail: str = ""
    died_in: str = ""
