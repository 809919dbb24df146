"""What this host carries out and what it refuses, judged before an order is taken. On any doubt the answer is no."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from msgspec.structs import replace

from agent.actions.action import Action, SlowAction
from agent.journal import policy
from agent.journal.policy import Ruling
from agent.journal.taking import Incoming
from shared.actions import LASTING
from shared.errors import ActionError, InvalidTarget, MalformedMessage, ProtectedTarget
from shared.messages import Order
from shared.targets import Allowlist

Automatic = Callable[[], Allowlist]


class Slow(Protocol):
    """What is carried out beside the built-in actions, as it is just now."""

    def get(self, name: str) -> SlowAction | None:
        """The action of that name, whether this host can carry it out or not."""


class Admission:
    """The agent's own rules: what it can do, and whom nothing may be done to.

    `allow` is the host's setting. It and what the managers allow an exempt order overrides; `automatic` (loopback, own
    addresses, gateway, resolvers, broker) nobody does. It is called for every batch.
    """

    def __init__(
        self,
        agent_id: str,
        roles: Sequence[str],
        actions: Mapping[str, Action],
        *,
        allow: Allowlist,
        automatic: Automatic,
        slow: Slow | None = None,
        aliases: Mapping[str, str] = MappingProxyType({}),
        unsupported: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`actions` are by each name that orders have for them, `aliases` those that aren't the journal's, with the
        journal's; `unsupported` says why this host can't carry out what others can.
        """
        self._agent_id, self._roles, self._slow = agent_id, roles, slow
        self._aliases, self._unsupported = aliases, unsupported
        self._actions, self._allow, self._automatic = actions, allow, automatic
        self._ruling = policy.NONE

    @property
    def version(self) -> int:
        """The version of the managers' allowlist that is followed; 0 before there was one."""
        return self._ruling.version

    def follow(self, ruling: Ruling) -> None:
        """Judges by this allowlist of the managers' from now on. It is in the journal; an older one changes nothing."""
        self._ruling = _newer(ruling, self._ruling)

    def judge(self, things: Sequence[Order | Ruling]) -> list[Incoming | Ruling | MalformedMessage]:
        """For each order what is to be taken of it, with a refusal if there is one; an error when it isn't for us.

        What comes behind a policy is judged by it, and what came before is not: taking it ends that.
        """
        automatic, ruling = self._automatic(), self._ruling
        judged: list[Incoming | Ruling | MalformedMessage] = []
        for each in things:
            if isinstance(each, Ruling):
                ruling = _newer(each, ruling)
                judged.append(each)
            else:
                judged.append(self._judge(each, _Protection(automatic, self._allow, ruling.allowlist)))
        return judged

    def protection(self) -> Callable[[str, bool], str]:
        """Why nothing may be done to a target, by what is protected just now; called with the target, and whether
        the order is exempt. Empty when it may.
        """
        return _Protection(self._automatic(), self._allow, self._ruling.allowlist).why

    def _judge(self, order: Order, protection: "_Protection") -> Incoming | MalformedMessage:
        if wrong := self._misaddressed(order):
            return MalformedMessage(wrong)
        own = self._aliases.get(order.action, order.action)
        if order.operation == "delete":
            return Incoming(order=order, action=own)
        try:
            incoming = self._incoming(order, own)
        except InvalidTarget as error:
            return Incoming(order=order, refusal=f"invalid-target: {error}")
        return incoming if incoming.refusal else replace(incoming, refusal=protection.why(order.target, order.exempt))

    def _incoming(self, order: Order, own: str) -> Incoming:
        if action := self._actions.get(order.action):
            key = action.key(order.target, order.arguments)
            if not order.lasting and order.action not in LASTING:  # whoever gave it takes it for a script's
                why = f"{order.action} stays in force until something ends it: order it with a time"
                return Incoming(order=order, refusal=f"unsupported: {why}")
            return Incoming(order=order, action=own, key=key)
        if self._slow is None or (slow := self._slow.get(order.action)) is None:
            return Incoming(order=order, refusal=self._why_not(order.action))
        key = slow.key(order.target, order.arguments, order.id)
        try:
            slow.prepare(order.arguments)
        except ActionError as error:
            return Incoming(order=order, refusal=f"unsupported: {error}")
        if slow.just_happens and order.lasting:
            why = f"{slow.name} just happens and has no end: order it without a time"
            return Incoming(order=order, refusal=f"unsupported: {why}")
        return Incoming(order=order, key=key, slow=True)

    def _why_not(self, name: str) -> str:
        if why := self._unsupported.get(name):
            return f"unsupported: {why}"
        return f"unknown-action: {name[:80]}"

    def _misaddressed(self, order: Order) -> str:
        if order.location in ("local", "agent") and self._agent_id not in order.agents:
            return f"it is for {', '.join(order.agents[:5]) or 'nobody'}, and this is {self._agent_id}"
        if order.location == "server" and "server" not in self._roles:
            return f"it is for servers, and {self._agent_id} is none"
        return ""


class _Protection:
    """Whom nothing may be done to, at one moment."""

    def __init__(self, automatic: Allowlist, *listed: Allowlist) -> None:
        self._automatic, self._listed = automatic, listed

    def why(self, target: str, exempt: bool) -> str:
        """Why nothing may be done to `target`; empty when it may."""
        if not target:
            return ""
        try:
            for each in (self._automatic, *(() if exempt else self._listed)):
                each.check(target)
        except ProtectedTarget as error:
            return f"protected: {error}"
        except InvalidTarget:  # a script's, that is no address: its action has judged it
            return ""
        return ""


def _newer(one: Ruling, other: Ruling) -> Ruling:
    return one if one.version > other.version else other
