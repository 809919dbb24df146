"""What a person orders: any action, on what such an action can act on, for as long as they say.

The rule it keeps: what no agent could take is refused here, before anything is written down.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from manager.actions import Term, name_of, target_of
from manager.ledger import on_hold, orders, pause
from manager.ledger.orders import UNTIL_LIFTED
from manager.roster import Members, unknown
from shared.actions import kind_of
from shared.errors import AgentGone
from shared.ids import digest
from shared.messages import ONE_SHOT, Location, Order
from shared.store import Connection
from shared.targets import Allowlist, names_address

BLOCK = "firewall-drop"  # what `thwart block` orders


class OrderRequest(Struct, frozen=True, kw_only=True):
    """A person's wish. The same `request_id` is the same order."""

    request_id: str
    action: str
    target: str = ""
    arguments: tuple[str, ...] = ()
    location: Location
    agents: tuple[str, ...] = ()  # names, for `agent`
    term: Term
    reason: str = ""
    issuer: str = ""
    dry_run: bool = False


def check_protected(order: Order, allowlist: Allowlist) -> None:
    """Raises ProtectedTarget with the entry when the allowlist protects what `order` acts on. A name it never does."""
    if names_address(order.target):
        allowlist.check(order.target)


def order_of(request: OrderRequest, now: float) -> Order:
    """The order that does as `request` says. Raises InvalidTarget, UnknownAction."""
    named = tuple(sorted(set(request.agents)))
    target, timeout = target_of(request.action, request.target), request.term.timeout
    span = ONE_SHOT if request.term.one_shot else UNTIL_LIFTED if timeout is None else timeout
    return Order(
        id=digest(request.request_id, "", "add", (), request.location, named, target),
        operation="add",
        action=name_of(request.action),
        arguments=request.arguments,
        location=request.location,
        agents=named,
        target=target,
        timeout=timeout,
        issued_at=now,
        deadline=now + span,
        expires_at=None if timeout is None else now + timeout,
        reason=request.reason,
        alert=_alert(request),
        issuer=request.issuer,
        dry_run=request.dry_run,
    )


def _alert(request: OrderRequest) -> dict[str, Any]:
    """What stands for an alert with those who make something of one: a message says why it was sent."""
    tells = kind_of(request.action) in ("script", "nothing") and request.reason
    return {"rule": {"description": request.reason}} if tells else {}


def place(connection: Connection, order: Order, request_id: str, members: Members) -> None:
    """Writes down a person's order, to be sent, or on hold while the manager is paused."""
    if pause.find(connection) is None:
        orders.put(connection, order, request_id, members.audience(order.location, order.agents))
    else:
        on_hold.keep(connection, order, request_id, "paused", (), order.issued_at)


def check_known(agents: Sequence[str], members: Members) -> None:
    """Raises UnknownAgent when one of these isn't in the roster, AgentGone when it is there no more."""
    if gone := members.gone(agents):
        raise AgentGone(f"gone, and sent nothing until heard of again: {', '.join(gone)}; see `thwart agents`")
    strangers = [agent for agent in agents if agent not in members]
    if strangers:
        raise unknown(strangers, members.ids())
