"""What a person orders: any action, on what such an action can act on, for as long as they say.

The rule it keeps: what no agent could take is refused here, before anything is written down.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from manager.ledger import on_hold, orders, pause
from manager.ledger.orders import UNTIL_LIFTED
from manager.responses.commands import of_action
from manager.roster import Members, unknown
from shared.errors import InvalidTarget, JustHappens
from shared.ids import digest
from shared.messages import ONE_SHOT, Location, Order
from shared.store import Connection
from shared.targets import Allowlist, names_address, normalise_account, normalise_address, normalise_target

BLOCK = "firewall-drop"  # what `thwart block` orders


class Term(Struct, frozen=True, kw_only=True):
    """How long an effect is to stay. A one-shot has none: it just happens."""

    timeout: float | None = None  # s; None: until lifted
    one_shot: bool = False


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


def term(action: str, said: float | Literal["forever"] | None, usual: float) -> Term:
    """How long `action` is to stay when that was `said`; spans in seconds, None when nothing was.

    Without a word addresses and accounts have the `usual` time. A script is then only told to act, once: whether what
    it does can be ended nobody knows. Raises JustHappens for a time that means nothing, UnknownAction.
    """
    command = of_action(action)
    if command.one_shot and said is not None:
        raise JustHappens(f"{command.action} just happens and has no end: leave the time out")
    if said is None:
        once = command.kind in ("nothing", "script")
        return Term(one_shot=True) if once else Term(timeout=usual)
    return Term(timeout=None if said == "forever" else said)


def target_of(action: str, text: str) -> str:
    """The one spelling of what `action` is to act on. Raises InvalidTarget for what it can't, UnknownAction."""
    command, text = of_action(action), text.strip()
    match command.kind:
        case "nothing":
            if text:
                raise InvalidTarget(f"{command.action} acts on nothing: leave {text[:80]!r} out")
            return ""
        case "script":
            return normalise_target(text) if text else ""
        case "address" | "account" if not text:
            what = "address or network" if command.kind == "address" else "account"
            raise InvalidTarget(f"{command.action} acts on an {what}: name one")
        case "address":
            return normalise_address(text)
        case "account":
            return normalise_account(text)


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
        action=of_action(request.action).action,
        arguments=request.arguments,
        location=request.location,
        agents=named,
        target=target,
        timeout=timeout,
        issued_at=now,
        deadline=now + span,
        expires_at=None if timeout is None else now + timeout,
        reason=request.reason,
        issuer=request.issuer,
        dry_run=request.dry_run,
    )


def place(connection: Connection, order: Order, request_id: str, members: Members) -> None:
    """Writes down a person's order, to be sent, or on hold while the manager is paused."""
    if pause.find(connection) is None:
        orders.put(connection, order, request_id, members.audience(order.location, order.agents))
    else:
        on_hold.keep(connection, order, request_id, "paused", (), order.issued_at)


def check_known(agents: Sequence[str], members: Members) -> None:
    """Raises UnknownAgent when one of these isn't in the roster."""
    strangers = [agent for agent in agents if agent not in members]
    if strangers:
        raise unknown(strangers, members.ids())
