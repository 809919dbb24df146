"""Orders that other correlators give: seen on their way to the agents, and written down before they are acked.

Our own come by here too, and are known by their id and body. Agents carry out what they get in any case; what is
written down here is what makes an order be sent again, shown and lifted like one of ours.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from manager.chronicle import Chronicle
from manager.dead_letters import DeadLetters
from manager.ledger.foreign import Admitted, Given
from manager.ledger.ledger import Ledger
from manager.ledger.orders import Audience, is_lasting
from manager.persistence import store_all, until_stored
from manager.roster import Members, Roster
from manager.senders import Senders
from manager.sources.correlator_thread import CorrelatorThread
from shared import codec
from shared.broker import Consumer, Delivery
from shared.errors import ForeignPolicy, IdTaken, MalformedMessage, MessageError, MessageTooLarge
from shared.messages import Order
from shared.topology import MANAGER_ORDERS, POLICY

AROUND = 200  # levels of whatever an order is in when it is sent again, or shown


class Orders:
    """The consumer of `thwart.manager.orders`."""

    def __init__(
        self,
        consumer: Consumer,
        ledger: Ledger,
        roster: Roster,
        senders: Senders,
        thread: CorrelatorThread,
        dead: DeadLetters,
        chronicle: Chronicle,
    ) -> None:
        self._consumer, self._ledger, self._roster, self._senders = consumer, ledger, roster, senders
        self._thread, self._dead, self._chronicle = thread, dead, chronicle

    async def run(self) -> None:
        """Takes orders until cancelled."""
        while True:
            deliveries = await self._consumer.batch(MANAGER_ORDERS)
            if strange := await self._strange(deliveries):
                await self._take(strange)
            self._consumer.ack_through(deliveries[-1])

    async def _strange(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """What is not plainly our own. Nothing is decoded for it: every order of ours comes by here."""
        seen = [(each.message_id, each.body) for each in deliveries if each.kind != POLICY]
        known = await until_stored(lambda: self._ledger.known(seen), "orders that came by")
        return [each for each in deliveries if each.message_id not in known and not self._is_our_policy(each)]

    def _is_our_policy(self, delivery: Delivery) -> bool:
        return delivery.kind == POLICY and self._senders.is_ours(delivery.sender)

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        found = []
        for delivery in deliveries:
            try:
                found.append(_Found(delivery=delivery, order=_order(delivery)))
            except MessageError as error:
                await self._dead.set_aside(delivery, error)
        results, spoiled = await store_all(self._admit, found, "orders of others")
        for each in spoiled:
            await self._dead.set_aside(each.delivery, MalformedMessage("it can't be stored"))
        for admitted in results:
            await self._tell(admitted)

    async def _admit(self, found: Sequence["_Found"]) -> list[tuple[Delivery, Admitted]]:
        members = self._roster.members()  # who is here now: a full disk may have been waited for
        admitted = await self._ledger.admit([_given(each, members) for each in found])
        return [(each.delivery, one) for each, one in zip(found, admitted, strict=True)]

    async def _tell(self, admitted: Sequence[tuple[Delivery, Admitted]]) -> None:
        for delivery, each in admitted:
            if each.outcome == "clash":
                await self._dead.set_aside(delivery, IdTaken("another order with this id was there first"))
            elif each.outcome == "taken":
                self._chronicle.admitted(each, delivery.sender)
            for order in each.lifted:
                self._thread.forget(order.target)  # else what was counted before brings it back with the next line


class _Found(Struct, frozen=True, kw_only=True):
    """A message, and the order in it."""

    delivery: Delivery
    order: Order


def _order(delivery: Delivery) -> Order:
    """The order in a message. Raises MessageError."""
    if delivery.kind == POLICY:
        raise ForeignPolicy(f"an allowlist from {delivery.sender or 'nobody known'}, who is no manager here")
    if len(delivery.body) > codec.MAX_ORDER:
        raise MessageTooLarge(f"an order of {len(delivery.body)} bytes is over the limit of {codec.MAX_ORDER}")
    order = codec.decode(delivery.body, Order)
    _check_depth(order)
    return order


def _given(found: _Found, members: Members) -> Given:
    order = found.order
    audience = members.audience(order.location, order.agents)
    return Given(order=order, body=found.delivery.body, audience=audience, lasting=_lasts(order, members, audience))


def _check_depth(order: Order) -> None:
    """Refuses what could be read here, and then not be sent again or shown with all that is around it there."""
    nested: object = order
    for _ in range(AROUND):
        nested = [nested]
    try:
        msgspec.json.encode(nested)
    except RecursionError as error:
        raise MalformedMessage("its alert is nested too deeply") from error


def _lasts(order: Order, members: Members, audience: Audience) -> bool:
    """Blocks last whatever deadline they were given; of a script only its times tell."""
    return is_lasting(order) or (order.operation == "add" and members.hold(order.action, audience.known))
