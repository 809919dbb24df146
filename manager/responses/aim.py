"""What a response acts on: found in the alert by the action's kind, and refused when it can't be meant or is protected.

The rule it keeps: on any doubt nothing is ordered, and the refusal says why.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from manager.responses.response import Response
from manager.responses.white_list import HostPattern
from shared.actions import Kind
from shared.errors import InvalidTarget, ProtectedTarget
from shared.messages import Alert
from shared.targets import Allowlist, names_address, normalise_account, normalise_address

ADDRESSES = ("srcip", "src_ip", "data.srcip", "source.ip", "win.eventdata.ipAddress")
ACCOUNTS = ("dstuser", "user", "srcuser")

_FIELDS: dict[Kind, tuple[str, ...]] = {"address": ADDRESSES, "account": ACCOUNTS, "script": ADDRESSES, "nothing": ()}
_NOTHING = frozenset({"", "-", "(null)", "null"})  # how programs write that there is none
_LONGEST = 255  # characters of a script's target


class Guard(Struct, frozen=True, kw_only=True):
    """What is protected. `listed` and `hosts` are the user's, and an exempt response may pass them."""

    listed: Callable[[], Allowlist]  # as it is at the time of judging
    hosts: tuple[HostPattern, ...]
    automatic: Allowlist

    def check(self, target: str, exempt: bool) -> None:
        """Raises ProtectedTarget with the entry for a protected address."""
        self.automatic.check(target)
        if not exempt:
            self.listed().check(target)

    def check_name(self, name: str, exempt: bool) -> None:
        """Raises ProtectedTarget for a name that a log gives in an address's place, when a pattern protects it."""
        for host in () if exempt else self.hosts:
            if host.pattern.plainly(name):
                raise ProtectedTarget(f"{name[:_LONGEST]} is protected by {host.text} (white_list)")


def target(response: Response, alert: Alert, guard: Guard) -> str:
    """What `response` acts on because of `alert`, normalised; empty for what acts on nothing.

    Raises InvalidTarget, and ProtectedTarget with the entry that protects it.
    """
    kind = response.command.kind
    if kind == "nothing":
        return ""
    found = _first(alert, _paths(response))
    if kind == "script":
        return _for_script(response, found, guard)
    if found is None:
        raise InvalidTarget(f"the alert has no {kind}; looked for {', '.join(_paths(response))}")
    if kind == "account":
        return normalise_account(found)
    guard.check_name(found, response.exempt)
    return _address(response, found, guard)


def named(response: Response, alert: Alert) -> str:
    """What the alert names in the target's place, for a refusal; may be anything."""
    return (_first(alert, _paths(response)) or "")[:_LONGEST]


def _paths(response: Response) -> tuple[str, ...]:
    return (response.target,) if response.target else _FIELDS[response.command.kind]


def _for_script(response: Response, found: str | None, guard: Guard) -> str:
    """A script gets the whole alert and may need no target, but never an address that can't be meant or is protected.

    Without a `<target>` only an address will do: it tells one offender from the next.
    """
    if found is None:
        return ""
    guard.check_name(found, response.exempt)
    if not response.target or names_address(found):
        return _address(response, found, guard)
    if len(found) > _LONGEST or not found.isprintable():
        raise InvalidTarget(f"a script's target is one line of at most {_LONGEST} characters")
    return found


def _address(response: Response, found: str, guard: Guard) -> str:
    """The address that the alert names, when it may be acted on.

    A network has to be asked for by <target>: a field like X-Forwarded-For may hold whatever the client sent, and
    `0.0.0.0/1` would be half of the internet.
    """
    address = normalise_address(found)
    guard.check(address, response.exempt)
    if "/" in address and not response.target:
        raise InvalidTarget(f"{address} is a network; a <target> in the response allows one")
    return address


def _first(alert: Alert, paths: Iterable[str]) -> str | None:
    """The first of the fields that holds something."""
    whole: dict[str, Any] = msgspec.to_builtins(alert)
    for path in paths:
        for tree in (alert.data, whole):
            value = _at(tree, path)
            if isinstance(value, str | int) and str(value).strip() not in _NOTHING:
                return str(value).strip()
    return None


def _at(tree: object, path: str) -> object:
    """The value under a path; a key may have dots in it."""
    if not isinstance(tree, Mapping):
        return None
    if path in tree:
        return tree[path]
    for end in (place for place, letter in enumerate(path) if letter == "."):
        found = _at(tree.get(path[:end]), path[end + 1 :])
        if found is not None:
            return found
    return None
