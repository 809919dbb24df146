"""What this host carries out and what it refuses, judged before an order is taken. On any doubt the answer is no."""

from collections.abc import Callable, Mapping, Sequence

from agent.actions.action import Action
from agent.journal.taking import Incoming
from shared.errors import InvalidTarget, MalformedMessage, TargetError
from shared.messages import Order
from shared.targets import Allowlist

Automatic = Callable[[], Allowlist]


class Admission:
    """The agent's own rules: what it can do, and whom nothing may be done to.

    `allow` is the host's setting, which an exempt order overrides; `automatic` (loopback, own addresses, gateway,
    resolvers, broker) nobody does. It is called for every batch.
    """

    def __init__(
        self,
        agent_id: str,
        roles: Sequence[str],
        actions: Mapping[str, Action],
        *,
        allow: Allowlist,
        automatic: Automatic,
    ) -> None:
        self._agent_id, self._roles = agent_id, roles
        self._actions, self._allow, self._automatic = actions, allow, automatic

    def judge(self, orders: Sequence[Order]) -> list[Incoming | MalformedMessage]:
        """For each order what is to be taken of it, with a refusal if there is one; an error when it isn't for us."""
        automatic = self._automatic()
        return [self._judge(order, automatic) for order in orders]

    def protection(self) -> Callable[[str, bool], str]:
        """Why nothing may be done to a target, by what is protected just now; called with the target, and whether
        the order is exempt. Empty when it may.
        """
        automatic = self._automatic()
        return lambda target, exempt: self._protected(target, exempt, automatic)

    def _judge(self, order: Order, automatic: Allowlist) -> Incoming | MalformedMessage:
        if wrong := self._misaddressed(order):
            return MalformedMessage(wrong)
        if order.operation == "delete":
            return Incoming(order=order)
        action = self._actions.get(order.action)
        if action is None:
            return Incoming(order=order, refusal=f"unknown-action: {order.action[:80]}")
        try:
            key = action.key(order.target, order.arguments)
        except InvalidTarget as error:
            return Incoming(order=order, refusal=f"invalid-target: {error}")
        return Incoming(order=order, key=key, refusal=self._protected(order.target, order.exempt, automatic))

    def _misaddressed(self, order: Order) -> str:
        if order.location in ("local", "agent") and self._agent_id not in order.agents:
            return f"it is for {', '.join(order.agents[:5]) or 'nobody'}, and this is {self._agent_id}"
        if order.location == "server" and "server" not in self._roles:
            return f"it is for servers, and {self._agent_id} is none"
        return ""

    def _protected(self, target: str, exempt: bool, automatic: Allowlist) -> str:
        if not target:
            return ""
        try:
            automatic.check(target)
            if not exempt:
                self._allow.check(target)
        except TargetError as error:
            return f"protected: {error}"
        return ""
