"""What happened, told in log lines and figures. Each order has one line when it is given and one when it is over."""

from collections import Counter
from collections.abc import Mapping, Sequence

import structlog
from msgspec import Struct

from manager.approvals import Decided
from manager.broadcast import Broadcast
from manager.dispatch import Placed, Taken
from manager.ledger.answers import Closed, Lapsed, Named, Recorded
from manager.ledger.foreign import Admitted
from manager.ledger.views import Standstill
from manager.metrics import Metrics
from manager.news import AnswerNews, ExpiryNews, OrderNews, Origin, OverNews
from manager.panic import Lifted
from manager.ration import Ration
from manager.reasons import REFUSALS
from shared.clock import Clock
from shared.messages import Acknowledgement, Expiry, Order
from shared.metrics import closed

REMEMBERED = 50_000  # orders whose answers are timed; an older one's answer is only counted
NOBODY_LISTENS: Mapping[str, Named] = {}
UNKNOWN = Named(action="", target="", issued_at=None)

log = structlog.get_logger()


class _Given(Struct, frozen=True, kw_only=True):
    """When an order was given, to time what is answered to it."""

    at: float  # the boot clock
    logged_at: float | None  # the instant of the line that led to it; None for a person's


class Chronicle:
    """Hears what the ledger took. Belongs to the loop; nothing here raises."""

    def __init__(self, metrics: Metrics, clock: Clock, broadcast: Broadcast) -> None:
        self._metrics, self._clock, self._broadcast = metrics, clock, broadcast
        self._refusals, self._held = Ration(clock), Ration(clock)
        self._given: dict[str, _Given] = {}  # by order id; oldest first

    def taken(self, taken: Sequence[Taken]) -> None:
        """Alerts that were responded to."""
        late = sum(each.late for each in taken)
        if late:
            log.warning("alerts came too late to act on", action="late", alerts=late)
        for outcome, count in Counter(map(_outcome, taken)).items():
            self._metrics.alerts.labels(outcome).inc(count)
        for each in taken:
            for refusal in each.refusals:
                self._refused(each, refusal.response, refusal.reason, refusal.detail)
            if not each.repeated:
                self._count(each)
                self._ordered(each)

    def placed(self, placed: Placed) -> None:
        """A person's request that was granted."""
        if placed.repeated:
            return
        for order in placed.orders:
            if placed.on_hold:
                self._kept(order, "person")
            else:
                self._given_out(order, "person", None)

    def approved(self, decided: Decided, issuer: str) -> None:
        """Orders that were on hold and are sent; what they are answered is timed from now."""
        for order in decided.orders:
            self._given_out(order, "approval", None)
        if decided.orders or decided.objections:
            counts = {"orders": len(decided.orders), "not_approved": len(decided.objections)}
            log.info("orders on hold were approved", action="approved", issuer=issuer, **counts)

    def turned_down(self, decided: Decided, issuer: str) -> None:
        """Orders that were on hold and are never sent; without an issuer because their time was up."""
        for order in decided.lifts:
            self._given_out(order, "person", None)
        if decided.orders:
            said = {"issuer": issuer, "orders": len(decided.orders), "lifts": len(decided.lifts)}
            log.warning("orders on hold are not approved", action="not_approved", lapsed=not issuer, **said)

    def paused(self, standstill: Standstill, issuer: str) -> None:
        """The manager sends nothing but lifts from now on."""
        if standstill.changed:
            taken = standstill.taken_back
            log.warning("paused: nothing but lifts is sent", action="paused", issuer=issuer, taken_back=taken)

    def resumed(self, standstill: Standstill, issuer: str) -> None:
        """Orders are sent again."""
        if standstill.changed:
            held = sum(standstill.on_hold.values())
            log.warning("resumed: orders are sent again", action="resumed", issuer=issuer, on_hold=held)

    def lifted(self, lifted: Lifted, issuer: str) -> None:
        """Some of everything."""
        for order in lifted.deletes:
            self._given_out(order, "person", None)
        counts = {"orders": lifted.orders, "deletes": len(lifted.deletes)}
        log.warning("everything is being lifted", action="everything_lifted", issuer=issuer, **counts)

    def admitted(self, admitted: Admitted, sender: str) -> None:
        """An order that somebody else gave."""
        self._given_out(admitted.order, "foreign", None)
        log.info("it is another correlator's", action="foreign_order", order_id=admitted.order.id, sender=sender)
        if admitted.unknown:
            log.warning(
                "an order of another correlator's names agents that nobody has heard of, or that are gone",
                action="unroutable",
                agents=admitted.unknown[:10],
                order_ids=[admitted.order.id],
            )

    def recorded(self, recorded: Recorded, named: Mapping[str, Named] = NOBODY_LISTENS) -> None:
        """Answers and ends; `named` says what their orders are about, for those who listen."""
        for event in recorded.settling:
            if isinstance(event, Acknowledgement):
                self._answered(event)
                self._tell_answer(event, named.get(event.order_id, UNKNOWN))
            else:
                self._ended(event)
        if recorded.foreign:
            log.warning("answers to orders that were not given here", action="foreign", order_ids=recorded.foreign[:10])
        self._close(recorded.closed)

    def lapsed(self, lapsed: Lapsed) -> None:
        """Orders that nobody answered in time."""
        self._close(lapsed.closed)

    def _count(self, taken: Taken) -> None:
        self._metrics.responded(taken.sighting.alert.rule.id)
        for order in (*taken.orders, *taken.held):
            self._metrics.offended(order.offence)

    def _ordered(self, taken: Taken) -> None:
        for order in taken.orders:
            self._metrics.log_to_order.observe(max(0.0, order.issued_at - taken.sighting.at))
            self._given_out(order, "alert", taken.sighting.at)
        for order in taken.held:
            self._kept(order, "alert")
        for response in taken.tripped:
            log.error(
                "a response orders too much at once; what is new of it is on hold: see `thwart orders --on-hold`",
                action="breaker_tripped",
                response=response,
            )
        if taken.unknown:
            log.warning(
                "a response names agents that are unknown, or gone; look at its <agent_id> and at `thwart agents`",
                action="unroutable",
                agents=taken.unknown,
                order_ids=[order.id for order in taken.orders if set(order.agents) & set(taken.unknown)],
            )

    def _refused(self, taken: Taken, response: str, reason: str, detail: str) -> None:
        self._metrics.refusals.labels(closed(reason, REFUSALS)).inc()
        self._refusals.say(
            "did not respond on purpose",
            action="not_ordered",
            alert_id=taken.sighting.alert.id,
            response=response,
            reason=reason,
            detail=detail,
        )

    def _kept(self, order: Order, origin: Origin) -> None:
        self._metrics.held.inc()
        self._broadcast.tell(lambda at: OrderNews(at=at, order=order, origin=origin, on_hold=True))
        self._held.say(
            "an order is on hold",
            action="on_hold",
            order_id=order.id,
            what=order.action,
            target=order.target,
            response=order.response,
        )

    def _given_out(self, order: Order, origin: Origin, logged_at: float | None) -> None:
        self._broadcast.tell(lambda at: OrderNews(at=at, order=order, origin=origin))
        self._metrics.orders.labels(order.operation, order.location, origin).inc()
        self._given[order.id] = _Given(at=self._clock.boot(), logged_at=logged_at)
        if len(self._given) > REMEMBERED:
            del self._given[next(iter(self._given))]
        log.info(
            "gave an order",
            action="ordered",
            order_id=order.id,
            operation=order.operation,
            what=order.action,
            target=order.target,
            location=order.location,
            agents=order.agents,
            timeout=order.timeout,
            offence=order.offence,
            rule_id=order.rule_id,
            issuer=order.issuer,
            dry_run=order.dry_run,
        )

    def _answered(self, answer: Acknowledgement) -> None:
        self._metrics.acknowledgements.labels(answer.status).inc()
        given = self._given.get(answer.order_id)
        if given is not None:
            self._metrics.order_answer.observe(max(0.0, self._clock.boot() - given.at))
            if given.logged_at is not None and answer.status == "applied":
                self._metrics.log_to_applied.observe(max(0.0, self._clock.wall() - given.logged_at))
        if answer.status in ("failed", "refused"):
            log.warning(
                "an agent did not carry out an order",
                action="not_carried_out",
                order_id=answer.order_id,
                agent_id=answer.agent_id,
                status=answer.status,
                detail=answer.detail,
            )

    def _tell_answer(self, answer: Acknowledgement, about: Named) -> None:
        self._broadcast.tell(
            lambda at: AnswerNews(
                at=at,
                order_id=answer.order_id,
                agent_id=answer.agent_id,
                action=about.action,
                target=about.target,
                seconds=None if about.issued_at is None else max(0.0, at - about.issued_at),
                said=answer,
            )
        )

    def _ended(self, end: Expiry) -> None:
        self._metrics.expiries.labels(end.outcome).inc()
        words = {"order_id": end.order_id, "agent_id": end.agent_id, "target": end.target}
        self._broadcast.tell(lambda at: ExpiryNews(at=at, action=end.action, said=end, **words))
        if end.outcome == "failed":
            log.warning(
                "an agent could not end what an order held",
                action="not_ended",
                what=end.action,
                detail=end.detail,
                **words,
            )

    def _close(self, orders: Sequence[Closed]) -> None:
        for each in orders:
            self._given.pop(each.order_id, None)
            self._over(each)
            log.info(
                "an order is over",
                action="order_over",
                order_id=each.order_id,
                what=each.action,
                target=each.target,
                agents=each.states,
            )

    def _over(self, closed: Closed) -> None:
        words = {"order_id": closed.order_id, "action": closed.action, "target": closed.target}
        self._broadcast.tell(lambda at: OverNews(at=at, agents=closed.states, **words))


def _outcome(taken: Taken) -> str:
    if taken.repeated:
        return "repeated"
    if taken.late:
        return "late"
    if taken.orders:
        return "ordered"
    return "on_hold" if taken.held else "quiet"
