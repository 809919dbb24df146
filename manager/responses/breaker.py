"""The breaker's limits: how many new targets a response may order in a minute before its orders wait for a person.

Pure: what is counted, and up to where. The count itself is in the ledger, so that no restart forgets it.
"""

from msgspec import Struct

from manager.responses.response import Response
from shared.actions import TELLING
from shared.targets import names_host

ADDRESSES = 2_000  # single addresses, on some agents, and messages that tell of them
WIDE = 20  # what goes wrong at large when it goes wrong: networks, accounts, anything on `all`
ONE_SHOTS = 3  # restarts and the like


class Gate(Struct, frozen=True, kw_only=True):
    """What an order has to pass before it is sent."""

    limit: int  # new targets of its response in a minute
    counts: str = ""  # what it is counted as, once a minute; empty for a target that is blocked already
    approval: bool = False  # it waits for a person in any case


OPEN = Gate(limit=ADDRESSES)


def gate(response: Response, target: str, order_id: str, *, one_shot: bool, running: bool) -> Gate:
    """The gate for an order of `response`; `running` says that its target is blocked somewhere already."""
    limit = _usual(response, target, one_shot=one_shot) if response.limit is None else response.limit
    counts = order_id if one_shot else target  # each time that it happens is one more
    return Gate(limit=limit, counts="" if running else counts, approval=response.approval)


def usual_limit(response: Response, *, one_shot: bool) -> int:
    """The limit for targets that are single addresses, where the response sets none."""
    target = "192.0.2.1" if response.command.kind in ("address", "script") else ""
    return _usual(response, target, one_shot=one_shot)


def _usual(response: Response, target: str, *, one_shot: bool) -> int:
    tells = response.command.action in TELLING
    if one_shot and not tells:
        return ONE_SHOTS
    return ADDRESSES if response.location != "all" and (tells or names_host(target)) else WIDE
