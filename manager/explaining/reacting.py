"""What responses make of an alert, and why the others don't: the real judge's verdict, put beside each response."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from manager.correlation import Firing, Rule, alert
from manager.explaining.explanation import Reaction, Responding
from manager.offline.responding import OfflineStanding
from manager.responses.configuration import Configuration
from manager.responses.response import Response
from manager.responses.verdict import Judge, Sighting, Verdict
from manager.roster import Members
from shared.messages import Order


class Reacted(Struct, frozen=True, kw_only=True):
    """All responses of a configuration, in its order, and the orders that would go out."""

    responses: tuple[Responding, ...]
    orders: tuple[Order, ...]
    note: str = ""


class Reactions:
    """The responses of one session: who was blocked in it counts as blocked, and nobody else.

    `members` gives who is in the fleet, the agent of a name included.
    """

    def __init__(self, configuration: Configuration, judge: Judge, members: Callable[[str], Members]) -> None:
        self._configuration, self._judge, self._members = configuration, judge, members
        self._standing = OfflineStanding()
        self.ended = self._standing.ended

    def to(self, firing: Firing) -> Reacted:
        """What follows from an alert."""
        said = alert(firing)
        members = self._members(said.agent.id)
        verdict = self._standing.after(self._judge, Sighting(alert=said, at=firing.at), members)
        responses = tuple(self._each(firing.rule, verdict))
        note = "" if firing.rule.responds else "no_ar: no response fires on this rule"
        if not responses:
            note = "no response is configured, so nothing is ordered"
        return Reacted(responses=responses, orders=verdict.orders, note=note)

    def _each(self, rule: Rule, verdict: Verdict) -> Iterable[Responding]:
        for response in self._configuration.responses:
            yield _one(response, rule, verdict, self._standing)
        for response in self._configuration.disabled:
            yield _told(response, "disabled", "it is switched off (<disabled>)")


def _one(response: Response, rule: Rule, verdict: Verdict, standing: OfflineStanding) -> Responding:
    if not rule.responds:
        return _told(response, "not-selected", "no_ar: no response fires on this rule")
    if not response.selects(rule):
        return _told(response, "not-selected", _unselected(response, rule))
    for refusal in verdict.refusals:
        if refusal.response == response.identity:
            return _told(response, "refused", f"{refusal.reason}: {refusal.detail}")
    for order in verdict.orders:
        if order.response == response.identity:
            return _told(response, "ordered", selected(response, rule), order.id)
    for order in verdict.orders:
        if _same(response, order) and not standing.holding(response.identity, order.target):
            return _told(response, "joined", f"the order of {order.response} does the same, for as long", order.id)
    return _told(response, "in-force", "its target is blocked by an earlier line, everywhere that it is for")


def _same(response: Response, order: Order) -> bool:
    """Whether the order of another response stands for this one's; see `responses.wish.collapsed`."""
    command = response.command
    wanted = (command.action, command.arguments, response.location, response.dry_run)
    return wanted == (order.action, order.arguments, order.location, order.dry_run)


def selected(response: Response, rule: Rule) -> str:
    """Why it fires on the rule."""
    if rule.id in response.rules:
        return f"rules_id {rule.id}"
    level = f"level {rule.level} ≥ {response.level}" if response.level is not None else ""
    groups = ", ".join(group for group in response.groups if group in rule.groups)
    return " and ".join(word for word in (level, f"rules_group {groups}" if groups else "") if word)


def _unselected(response: Response, rule: Rule) -> str:
    """Why it doesn't."""
    reasons = [f"rules_id {', '.join(response.rules)} isn't {rule.id}"] if response.rules else []
    if response.level is not None and rule.level < response.level:
        reasons.append(f"level {rule.level} is below {response.level}")
    if response.groups and set(response.groups).isdisjoint(rule.groups):
        reasons.append(f"the rule isn't in group {', '.join(response.groups)}")
    return "; ".join(reasons)


def _told(response: Response, reaction: Reaction, why: str, order_id: str = "") -> Responding:
    return Responding(
        response=response.identity,
        where=response.where,
        command=response.command.name,
        location=response.spelt_location,
        reaction=reaction,
        why=why,
        order_id=order_id,
    )
