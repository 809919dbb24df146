"""How a person gives an order over the API, a block or any other: what is answered, and what is easily overlooked."""

from collections.abc import Sequence
from difflib import get_close_matches

from msgspec import UNSET
from starlette.exceptions import HTTPException

from manager.actions import Term, name_of, term
from manager.api.bodies.blocks import Given, Terms
from manager.api.route import Answer
from manager.by_hand import OrderRequest, order_of
from manager.chronicle import Chronicle
from manager.dispatch import Dispatch, Placed
from manager.ledger.agents import Agent
from manager.roster import SHOWN, Roster
from shared.actions import KINDS, kind_of
from shared.messages import ONE_SHOT, Order

ON_HOLD = ("the manager is paused, so this is on hold; after `thwart resume`, `thwart approve` lets it through",)
LONGEST_WHY = 200  # characters of an agent's words; `thwart agents show` has them whole
USED = "request id {} was used for something else; use a new one"


class Giving:
    """`manual_timeout` is in seconds: how long what can end stays when nobody says."""

    def __init__(self, dispatch: Dispatch, roster: Roster, chronicle: Chronicle, *, manual_timeout: float) -> None:
        self._dispatch, self._roster, self._chronicle = dispatch, roster, chronicle
        self._manual_timeout = manual_timeout

    async def give(self, request: OrderRequest) -> Answer:
        """Has it ordered. Raises HTTPException for a request id that was used, and as `Dispatch.order`."""
        placed = await self._dispatch.order(request)
        if placed.repeated and not _same(request, placed):
            raise HTTPException(409, USED.format(request.request_id))
        self._chronicle.placed(placed)
        return given(placed, ON_HOLD if placed.on_hold else self.notes(request))

    def asked(
        self, terms: Terms, issuer: str, *, action: str, target: str = "", arguments: Sequence[str] = ()
    ) -> OrderRequest:
        """The wish in `terms`. Raises HTTPException, and as `actions.term`."""
        if bool(terms.agents) != (terms.location == "agent"):
            raise HTTPException(422, "name `agents` for location `agent`, and only then")
        said, members = None if terms.timeout is UNSET else terms.timeout, self._roster.members()
        action = name_of(action)
        ends = members.hold(action, members.audience(terms.location, terms.agents).known)
        return OrderRequest(
            request_id=terms.request_id,
            action=action,
            target=target,
            arguments=tuple(arguments),
            location=terms.location,
            agents=terms.agents,
            term=term(action, said, self._manual_timeout, ends=ends),
            reason=terms.reason,
            issuer=issuer,
            dry_run=terms.dry_run,
        )

    def notes(self, request: OrderRequest) -> tuple[str, ...]:
        """What is true of the order and easily overlooked."""
        members = self._roster.members()
        audience = members.audience(request.location, request.agents).known
        living = set(self._roster.living())
        silent = [agent for agent in audience if agent not in living]
        notes = list(_of_term(request))
        if not audience:
            notes.append(f"no agent that it is for has been heard of yet; {_later(request.term)}")
        elif request.location == "all" and not members.servers():
            notes.append("no agent has the role `server` yet, so no manager host is covered")
        if silent:
            if_back = f"if they are back within {ONE_SHOT:.0f} s" if request.term.one_shot else "when they are back"
            notes.append(f"silent, will get it {if_back}: {', '.join(silent)}")
        return (*notes, *_unable(request.action, [self._roster.find(agent) for agent in audience]))


def given(placed: Placed, notes: tuple[str, ...]) -> Answer:
    """The answer to whoever gave orders, or lifted some."""
    status = 201 if placed.orders and not placed.repeated else 200
    return status, Given(orders=placed.orders, repeated=placed.repeated, on_hold=placed.on_hold, notes=notes)


def _of_term(request: OrderRequest) -> tuple[str, ...]:
    if request.term.one_shot:
        return ()
    endless = ("it has no end: it stays until it is lifted",) if request.term.timeout is None else ()
    # only a script may lack one; where there are many, the request names none of them
    lacks = kind_of(request.action) == "script" and not request.target
    return endless + ("it has no target, so nothing but `thwart unblock --everything` lifts it",) * lacks


def _later(term: Term) -> str:
    return "it is carried out by nobody" if term.one_shot else "those that come will get it"


def _unable(action: str, agents: Sequence[Agent]) -> tuple[str, ...]:
    """Which of them have said that they can't carry it out, and why. One that has said nothing of actions may."""
    told = [agent.heartbeat for agent in agents if agent.heartbeat.actions or agent.heartbeat.unsupported]
    whys = {each.agent_id: each.unsupported.get(action, "") for each in told if action not in each.actions}
    if not whys:
        return ()
    said = [f"{agent} ({_short(why)})" if why else agent for agent, why in whys.items()]
    more = f" and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    known = {name for each in told for name in each.actions}
    near = [] if action in KINDS or any(whys.values()) else get_close_matches(action, known | set(KINDS))
    meant = f"; is {' or '.join(near)} meant?" if near else ""
    return (f"can't carry {action} out, by their own word: {', '.join(said[:SHOWN])}{more}{meant}",)


def _short(why: str) -> str:
    return why if len(why) <= LONGEST_WHY else f"{why[:LONGEST_WHY]}…"


def _same(request: OrderRequest, placed: Placed) -> bool:
    return [_kind_of(order_of(request, 0.0))] == [_kind_of(order) for order in placed.orders]


def _kind_of(order: Order) -> tuple[object, ...]:
    return order.action, order.target, order.arguments, order.location, order.agents, order.dry_run
