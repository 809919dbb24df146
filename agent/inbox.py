"""Deliveries -> journal -> ack, in this order: the broker forgets an order only when it is written down.

Nothing that comes can stop it: what is neither order nor policy goes to the dead letters, in the same transaction.
"""

import asyncio
from collections.abc import Sequence

import structlog

from agent.admission import Admission
from agent.journal import policy
from agent.journal.journal import Journal
from agent.journal.policy import Ruling
from agent.journal.taking import Rejected, Taken, Thing
from agent.metrics import AgentMetrics
from agent.trouble import Trouble
from shared import codec
from shared.broker import Consumer, Delivery
from shared.dead_letter import letter
from shared.errors import MessageError, MessageTooLarge, StoreDamaged, StoreError
from shared.messages import Order
from shared.outbox import Outbox
from shared.topology import POLICY

PAUSE = 2.0  # s before a journal that can't be written is tried again
LONGEST_ID = 255
LARGEST = codec.MAX_BODY - 4 * 1024  # bytes of an order: written down it has what it left out, and is larger

log = structlog.get_logger()


class Inbox:
    """Takes what arrived while it was busy with the last batch. `work` is set when there is something to carry out."""

    def __init__(
        self,
        consumer: Consumer,
        queue: str,
        journal: Journal,
        admission: Admission,
        *,
        work: asyncio.Event,
        outbox: Outbox,
        metrics: AgentMetrics,
        trouble: Trouble,
    ) -> None:
        self._consumer, self._queue = consumer, queue
        self._journal, self._admission = journal, admission
        self._work, self._outbox, self._metrics, self._trouble = work, outbox, metrics, trouble

    async def run(self) -> None:
        """Takes until cancelled. Raises StoreDamaged."""
        while True:
            deliveries = await self._consumer.batch(self._queue)
            await self._take(deliveries)
            self._consumer.ack_through(deliveries[-1])

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        """Returns when all of them are in the journal; until it can be written nothing is acked and nothing taken."""
        while True:
            try:
                things = read(deliveries, self._admission)
                taken = await self._journal.take(things)
            except StoreDamaged:
                raise
            except (StoreError, OSError) as error:  # OSError: this host can't be asked whom it must not block
                self._trouble.say("inbox", f"orders can't be taken: {error}")
                await asyncio.sleep(PAUSE)
            else:
                self._trouble.over("inbox")
                for each in things:
                    if isinstance(each, Ruling):
                        self._admission.follow(each)
                self._tell(taken)
                return

    def _tell(self, taken: Taken) -> None:
        if taken.fresh or taken.ruled:
            self._work.set()
        if taken.said:
            self._outbox.wake()
        self._metrics.answered(taken.answered)
        for said in taken.answered:
            words = {"order_id": said.order_id, "agent_id": said.agent_id, "status": said.status, "detail": said.detail}
            log.info("answered an order", action="settled", **words)
        for version, ends in taken.ruled:
            log.info("took an allowlist", action="policy", version=version, ends=ends)
        if taken.repeated:
            log.info("known orders came again", action="repeated", count=taken.repeated)


def read(deliveries: Sequence[Delivery], admission: Admission) -> list[Thing]:
    """What to do with each delivery, in order."""
    decoded = [_decode(delivery) for delivery in deliveries]
    judged = iter(admission.judge([each for each in decoded if not isinstance(each, MessageError)]))
    things: list[Thing] = []
    for delivery, each in zip(deliveries, decoded, strict=True):
        thing = each if isinstance(each, MessageError) else next(judged)
        things.append(_rejected(delivery, thing) if isinstance(thing, MessageError) else thing)
    return things


def _decode(delivery: Delivery) -> Order | Ruling | MessageError:
    try:
        if delivery.kind == POLICY:
            return policy.ruling(delivery.body)
        order = codec.decode(delivery.body, Order)
        if len(delivery.body) > LARGEST:
            raise MessageTooLarge(f"an order of {len(delivery.body)} bytes is over the limit of {LARGEST}")
        return order
    except MessageError as error:
        return error


def _rejected(delivery: Delivery, error: MessageError) -> Rejected:
    order_id = _readable_id(delivery)
    log.warning(
        "set aside a message that is no order for this host",
        action="dead_lettered",
        order_id=order_id,
        routing_key=delivery.routing_key,
        reason=error.reason,
        error=str(error)[:400],
    )
    return Rejected(dead=letter(delivery, error), order_id=order_id, detail=str(error)[:400])


def _readable_id(delivery: Delivery) -> str:
    """The id in the body of an order that is otherwise wrong, or nothing."""
    if delivery.kind == POLICY:
        return ""  # nobody waits for an answer
    try:
        found = codec.unpack(delivery.body).get("id")
    except MessageError:
        return ""
    return found if isinstance(found, str) and 1 <= len(found) <= LONGEST_ID else ""
