"""What a response wants because of an alert, and the order that it becomes. Equal wishes become one order."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from manager.ledger.orders import UNTIL_LIFTED
from manager.responses.escalation import Term
from manager.responses.place import Place
from manager.responses.response import Response
from manager.responses.verdict import Offence
from manager.roster import Members
from shared.ids import digest
from shared.messages import ONE_SHOT, Alert, Order

_LONGEST_REASON = 500  # characters

Effect = tuple[str, tuple[str, ...], str, tuple[str, ...], str, bool, bool]


class Wish(Struct, frozen=True, kw_only=True):
    """An order that a response wants. Without a term it is a one-shot: it happens, and nothing is held."""

    response: Response
    place: Place
    target: str
    term: Term | None = None

    @property
    def timeout(self) -> float | None:
        """Seconds; None until lifted, and for a one-shot."""
        return self.term.timeout if self.term else None

    @property
    def effect(self) -> Effect:
        """What is equal in equal orders: the same effect in the same place.

        One that waits for a person never stands for one that doesn't.
        """
        response, place = self.response, (self.place.location, self.place.agents)
        return (
            response.command.action,
            response.command.arguments,
            *place,
            self.target,
            response.dry_run,
            response.approval,
        )

    @property
    def rank(self) -> tuple[bool, float, bool]:
        """The higher one stays of equal wishes: one that has an effect and ends it before one that just happens, the
        longer block, then the one that passes the agent's list too.
        """
        return (self.term is not None, float("inf") if self.timeout is None else self.timeout, self.response.exempt)

    def order_id(self, alert: Alert) -> str:
        """The same alert always gives the same id."""
        place = self.place
        return digest(alert.id, self.response.identity, "add", (), place.location, place.agents, self.target)

    def offence(self, order_id: str) -> Offence | None:
        """What is to be remembered. A dry run blocks nobody, so nothing can come after its end."""
        if self.term is None or self.term.running or self.response.dry_run:
            return None
        return Offence(
            response=self.response.identity,
            target=self.target,
            offence=self.term.offence,
            ends_at=self.term.ends_at,
            order_id=order_id,
        )


def collapsed(wishes: Iterable[Wish]) -> list[Wish]:
    """One for each effect and place, in the order given; the longest timeout wins."""
    chosen: dict[Effect, Wish] = {}
    for wish in wishes:
        known = chosen.get(wish.effect)
        if known is None or wish.rank > known.rank:
            chosen[wish.effect] = wish
    return list(chosen.values())


def offences(wishes: Iterable[Wish], ids: Mapping[Effect, str]) -> tuple[Offence, ...]:
    """What is to be remembered of all, also of those whose order another one's stands for; `ids` are the orders'."""
    found: dict[tuple[str, str], Offence] = {}
    for offence in (wish.offence(ids[wish.effect]) for wish in wishes):
        if offence is None:
            continue
        known = found.get((offence.response, offence.target))
        if known is None or offence.ends_at > known.ends_at:
            found[offence.response, offence.target] = offence
    return tuple(found.values())


def order(
    order_id: str, wish: Wish, alert: Alert, enclosed: dict[str, Any], members: Members, now: float, issuer: str
) -> Order:
    """The order. `enclosed` is the alert as it goes along."""
    response, place, term = wish.response, wish.place, wish.term
    return Order(
        id=order_id,
        operation="add",
        action=response.command.action,
        arguments=response.command.arguments,
        location=place.location,
        agents=place.agents,
        target=wish.target,
        timeout=wish.timeout,
        issued_at=now,
        deadline=_deadline(term, now),
        expires_at=term.expires_at if term else None,
        offence=term.offence if term else 1,
        exempt=response.exempt,
        response=response.identity,
        rule_id=alert.rule.id,
        reason=_reason(wish, alert, members),
        alert=enclosed,
        dry_run=response.dry_run,
        issuer=issuer,
    )


def _deadline(term: Term | None, now: float) -> float:
    if term is None:
        return now + ONE_SHOT
    return now + UNTIL_LIFTED if term.expires_at is None else term.expires_at


def _reason(wish: Wish, alert: Alert, members: Members) -> str:
    rule = alert.rule
    description = rule.description[:_LONGEST_REASON] or "no description"
    nobody = wish.place.location in ("all", "server") and not members.servers()
    note = "; no agent with the server role is known" if nobody else ""
    return f"{description} (rule {rule.id}, level {rule.level}{note})"
