"""What can't be taken: set aside with a reason and confirmed before its ack, then read back, written down and said.

The two queues that end here are never rejected from, so that nothing goes round in circles.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import structlog
from msgspec import Struct

from manager import reasons
from manager.chronicle import Chronicle
from manager.ledger.answers import Lapsed
from manager.ledger.dead_letters import KEPT, Undelivered
from manager.ledger.ledger import Ledger
from manager.ledger.views import DeadLetter
from manager.metrics import Metrics
from manager.persistence import store_all
from manager.ration import Ration
from manager.senders import Senders
from shared import codec, topology
from shared.broker import Consumer, Delivery, Publisher
from shared.clock import Clock
from shared.dead_letter import letter
from shared.errors import ForgedSender, MalformedMessage, MessageError, MessageTooLarge, Unroutable
from shared.messages import Acknowledgement, Expiry, Heartbeat, LogBatch
from shared.metrics import closed
from shared.topology import MANAGER_DEAD, MANAGER_UNROUTABLE

EXCERPT = 200  # bytes of it that are logged
AT_ONCE = 200  # a message is up to 1 MiB

log = structlog.get_logger()


FromAgent = TypeVar("FromAgent", bound=LogBatch | Acknowledgement | Expiry | Heartbeat)


def read(delivery: Delivery, kinds: Mapping[str, type[FromAgent]], senders: Senders) -> FromAgent:
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
    if not senders.may_speak(delivery.sender, agent):
        raise ForgedSender(f"it says it is from {agent!r} and was sent with the login of {delivery.sender!r}")
    return message


class DeadLetters:
    """Sets messages aside, and keeps what was set aside by anyone."""

    def __init__(
        self,
        publisher: Publisher,
        ledger: Ledger,
        senders: Senders,
        chronicle: Chronicle,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._publisher, self._ledger, self._senders = publisher, ledger, senders
        self._chronicle, self._metrics, self._clock = chronicle, metrics, clock
        self._set_aside, self._read = Ration(clock), Ration(clock)

    async def sift(
        self, deliveries: Sequence[Delivery], kinds: Mapping[str, type[FromAgent]]
    ) -> list[tuple[Delivery, FromAgent]]:
        """The messages that can be taken; the others are dead-lettered when this returns."""
        taken = []
        for delivery in deliveries:
            try:
                taken.append((delivery, read(delivery, kinds, self._senders)))
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
            sender=delivery.sender,
            reason=error.reason,
            error=str(error)[: 2 * EXCERPT],
        )
        try:
            await self._publisher.insist(letter(delivery, error))
        except Unroutable:
            log.error("nobody keeps dead letters, this one is lost", action="dead_letter_lost", queue=MANAGER_DEAD)

    async def keep(self, consumer: Consumer, queue: str) -> None:
        """Reads one of the two last queues until cancelled: writes down, counts, says, acks."""
        while True:
            deliveries = await consumer.batch(queue, AT_ONCE)
            found = [self._examine(delivery) for delivery in deliveries]
            for lapsed in (await store_all(self._bury, found, "dead letters"))[0]:
                self._chronicle.lapsed(lapsed)
            for each in found:
                self._metrics.dead.labels(each.letter.reason).inc()
                self._show(each.letter)
            consumer.ack_through(deliveries[-1])

    async def _bury(self, found: Sequence["_Found"]) -> Lapsed:
        letters = [each.letter for each in found]
        return await self._ledger.bury(letters, [each.undelivered for each in found if each.undelivered])

    def _examine(self, delivery: Delivery) -> "_Found":
        undelivered, detail = _undelivered(delivery), delivery.detail
        if undelivered and not self._senders.may_speak(delivery.sender, undelivered.agent_id):
            detail = f"its word on {undelivered.agent_id} counts for nothing; {detail}"
            undelivered = None
        return _Found(
            letter=DeadLetter(
                at=self._clock.wall(),
                reason=_reason(delivery),
                detail=detail,
                exchange=delivery.exchange,
                routing_key=delivery.routing_key,
                kind=delivery.kind,
                message_id=delivery.message_id,
                sender=delivery.sender,
                died_in=delivery.died_in,
                size=len(delivery.body),
                body=delivery.body[:KEPT],
            ),
            undelivered=undelivered,
        )

    def _show(self, letter: DeadLetter) -> None:
        self._read.say(
            "a dead letter; `thwart dead-letters` lists them",
            action="dead_letter",
            reason=letter.reason,
            exchange=letter.exchange,
            routing_key=letter.routing_key,
            kind=letter.kind,
            message_id=letter.message_id,
            size=letter.size,
            excerpt=repr(letter.body[:EXCERPT]),
        )


class _Found(Struct, frozen=True, kw_only=True):
    """A dead letter, and what it says of an order."""

    letter: DeadLetter
    undelivered: Undelivered | None


def _reason(delivery: Delivery) -> str:
    """One of the known words. A message that no queue took has none of its own."""
    word = delivery.reason or ("unroutable" if delivery.queue == MANAGER_UNROUTABLE else "")
    return closed(word, reasons.DEAD)


def _undelivered(delivery: Delivery) -> Undelivered | None:
    """Which order an agent has not taken, if it was one that died in its queue."""
    agent_id, order_id = topology.agent_of(delivery.died_in), _order_id(delivery)
    if not agent_id or not order_id or delivery.queue != MANAGER_DEAD or delivery.kind == topology.POLICY:
        return None
    return Undelivered(order_id=order_id, agent_id=agent_id, reason=_reason(delivery))


def _order_id(delivery: Delivery) -> str:
    """By its body, or where that can't be read by what is written on it."""
    try:
        found = codec.unpack(delivery.body).get("id")
    except MessageError:
        return delivery.message_id
    return found if isinstance(found, str) else delivery.message_id
