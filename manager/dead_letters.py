"""What can't be taken: set aside with a reason and confirmed before its ack, then read back, counted and said.

The two queues that end here are never rejected from, so that nothing goes round in circles.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import structlog

from manager.metrics import DEAD_REASONS, Metrics, closed
from manager.ration import Ration
from shared import codec
from shared.broker import Consumer, Delivery, Publisher
from shared.clock import Clock
from shared.dead_letter import letter
from shared.errors import ForgedSender, MalformedMessage, MessageError, MessageTooLarge, Unroutable
from shared.messages import Acknowledgement, Expiry, Heartbeat, LogBatch
from shared.topology import MANAGER_DEAD, MANAGER_UNROUTABLE

EXCERPT = 200  # bytes of it that are logged

log = structlog.get_logger()


FromAgent = TypeVar("FromAgent", bound=LogBatch | Acknowledgement | Expiry | Heartbeat)


def read(delivery: Delivery, kinds: Mapping[str, type[FromAgent]]) -> FromAgent:
    """The message in `delivery`, of the kind that its routing key `<word>.<agent>` names. Raises MessageError."""
    word, _, agent = delivery.routing_key.partition(".")
    kind = kinds.get(word)
    if kind is None:
        raise MalformedMessage(f"nothing is sent under {delivery.routing_key!r} here")
    if kind is Heartbeat and len(delivery.body) > codec.MAX_HEARTBEAT:
        raise MessageTooLarge(f"a heartbeat of {len(delivery.body)} bytes is over the limit of {codec.MAX_HEARTBEAT}")
    message = codec.decode(delivery.body, kind)
    if message.agent_id != agent:
        raise ForgedSender(f"it says it is from {message.agent_id!r} and came under {delivery.routing_key!r}")
    return message


class DeadLetters:
    """Sets messages aside, and reads what was set aside by anyone."""

    def __init__(self, publisher: Publisher, metrics: Metrics, clock: Clock) -> None:
        self._publisher, self._metrics = publisher, metrics
        self._set_aside, self._read = Ration(clock), Ration(clock)

    async def sift(
        self, deliveries: Sequence[Delivery], kinds: Mapping[str, type[FromAgent]]
    ) -> list[tuple[Delivery, FromAgent]]:
        """The messages that can be taken; the others are dead-lettered when this returns."""
        taken = []
        for delivery in deliveries:
            try:
                taken.append((delivery, read(delivery, kinds)))
            except MessageError as error:
                await self.set_aside(delivery, error)
        return taken

    async def set_aside(self, delivery: Delivery, error: MessageError) -> None:
        """Dead-letters a delivery; the broker has it when this returns, and the delivery may be acked."""
        self._set_aside.say(
            "set aside a message that can't be taken",
            action="dead_lettered",
            queue=delivery.queue,
            routing_key=delivery.routing_key,
            reason=error.reason,
            error=str(error)[: 2 * EXCERPT],
        )
        try:
            await self._publisher.insist(letter(delivery, error))
        except Unroutable:
            log.error("nobody keeps dead letters, this one is lost", action="dead_letter_lost", queue=MANAGER_DEAD)

    async def keep(self, consumer: Consumer, queue: str) -> None:
        """Reads one of the two last queues until cancelled: counts, says, acks."""
        while True:
            deliveries = await consumer.batch(queue)
            for delivery in deliveries:
                self._metrics.dead.labels(closed(_reason(delivery), DEAD_REASONS)).inc()
                self._show(delivery)
            consumer.ack_through(deliveries[-1])

    def _show(self, delivery: Delivery) -> None:
        self._read.say(
            "a dead letter",
            action="dead_letter",
            reason=_reason(delivery)[:EXCERPT],
            exchange=delivery.exchange,
            routing_key=delivery.routing_key,
            kind=delivery.kind,
            message_id=delivery.message_id,
            size=len(delivery.body),
            excerpt=repr(delivery.body[:EXCERPT]),
        )


def _reason(delivery: Delivery) -> str:
    """A message that no queue took has no reason of its own."""
    return delivery.reason or ("unroutable" if delivery.queue == MANAGER_UNROUTABLE else "")
