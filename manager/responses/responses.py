"""What the responses make of an alert: orders, offences, refusals. Pure but for the standing that it is given."""

from collections.abc import Callable

from msgspec import Struct

from manager.correlation.ruleset import Ruleset
from manager.responses import aim
from manager.responses.breaker import Gate, gate
from manager.responses.configuration import Configuration
from manager.responses.enclosure import enclosed
from manager.responses.escalation import term
from manager.responses.place import Place, place
from manager.responses.response import Response
from manager.responses.selection import is_own, responds
from manager.responses.standing import Standing
from manager.responses.verdict import Refusal, Sighting, Verdict
from manager.responses.wish import Wish, collapsed, offences, order
from manager.roster import Members
from shared.errors import InvalidTarget, ProtectedTarget
from shared.targets import Allowlist

OFFENCE_MEMORY = 86_400.0  # s after its block ended


class Case(Struct, frozen=True, kw_only=True):
    """One alert, with all that it is judged by."""

    sighting: Sighting
    members: Members
    standing: Standing
    now: float


class Responses:
    """The responses of a configuration.

    `allowlist` gives what is on the list at the time of judging, where that is more than the configuration's own;
    `automatic` is what not even `white_list_exempt` lets through; `offence_memory` is in seconds; `issuer` is who
    the orders are from.
    """

    def __init__(
        self,
        configuration: Configuration,
        rules: Ruleset,
        *,
        allowlist: Callable[[], Allowlist] | None = None,
        automatic: Allowlist | None = None,
        offence_memory: float = OFFENCE_MEMORY,
        issuer: str = "",
    ) -> None:
        self._responses, self._rules = configuration.responses, rules.rules
        self._guard = aim.Guard(
            listed=allowlist or (lambda: configuration.allowlist),
            hosts=configuration.hosts,
            automatic=automatic or Allowlist(),
        )
        self._memory, self._issuer = offence_memory, issuer

    def answered(self) -> frozenset[str]:
        """The ids of the rules whose alerts some response is for."""
        return frozenset(
            rule.id for rule in self._rules.values() if any(response.fires_on(rule) for response in self._responses)
        )

    def judge(self, sighting: Sighting, members: Members, standing: Standing, now: float) -> Verdict:
        """What follows from an alert; a `Judge`. Raises nothing, whatever the alert holds."""
        alert = sighting.alert
        if not responds(alert, self._rules.get(alert.rule.id)):
            return Verdict()
        fired = [response for response in self._responses if response.selects(alert.rule)]
        if not fired:  # of most alerts
            return Verdict()
        case = Case(sighting=sighting, members=members, standing=standing, now=now)
        found = [self._consider(response, case) for response in fired]
        wishes = [each for each in found if isinstance(each, Wish)]
        chosen = collapsed(wishes)
        copy = enclosed(alert) if chosen else {}
        named = [(wish.order_id(alert), wish) for wish in chosen]
        ids = {wish.effect: order_id for order_id, wish in named}
        return Verdict(
            orders=tuple(order(*each, alert, copy, members, now, self._issuer) for each in named),
            gates={order_id: _gate(wish, order_id) for order_id, wish in named},
            offences=offences(wishes, ids),
            refusals=tuple(each for each in found if isinstance(each, Refusal)),
        )

    def _consider(self, response: Response, case: Case) -> Wish | Refusal | None:
        """What one response wants; None when the block that it would order is in force everywhere, or over."""
        alert = case.sighting.alert
        if is_own(alert):
            return _refusal(response, "", "own-event", "Thwart doesn't respond to what it says itself")
        try:
            target = aim.target(response, alert, self._guard)
        except ProtectedTarget as wrong:
            return _refusal(response, aim.named(response, alert), "protected", str(wrong))
        except InvalidTarget as wrong:
            return _refusal(response, aim.named(response, alert), "invalid-target", str(wrong))
        where = place(response, alert, case.members)
        if where is None:
            return _refusal(response, target, "unroutable", "no agent is left, or the alert's has a name that none has")
        wish = Wish(response=response, place=where, target=target)
        return wish if self._just_happens(wish, case.members) else self._escalated(wish, case)

    def _just_happens(self, wish: Wish, members: Members) -> bool:
        """What a response without an end tells a script does; what agents have from a package stays in force."""
        command = wish.response.command
        return wish.response.one_shot and not members.hold(command.action, wish.place.everyone(members))

    def _escalated(self, wish: Wish, case: Case) -> Wish | None:
        identity, target = wish.response.identity, wish.target
        known = case.standing.offender(identity, target)
        found = term(wish.response, known, case.sighting.at, case.now, self._memory)
        if found is None:
            return None
        where: Place | None = wish.place
        if found.running:
            where = wish.place.without(case.standing.holding(identity, target), case.members)
        return Wish(response=wish.response, place=where, target=target, term=found) if where else None


def _gate(wish: Wish, order_id: str) -> Gate:
    term = wish.term
    running = term is not None and term.running
    return gate(wish.response, wish.target, order_id, one_shot=term is None, running=running)


def _refusal(response: Response, target: str, reason: str, detail: str) -> Refusal:
    return Refusal(response=response.identity, target=target, reason=reason, detail=detail)
