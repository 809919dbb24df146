"""The allowlist as agents were told it last: ready to be judged by, and to be sent again."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from manager.ledger.allowed import Allowed
from shared import codec, topology
from shared.broker import Publication
from shared.ids import digest
from shared.messages import LONGEST_JOURNAL, Policy, PolicyEntry
from shared.targets import Allowlist, parse_network, text_of

BY_HAND = "thwart allow"  # why, when who added an entry gave no reason


class Told(Struct, frozen=True, kw_only=True):
    """One version of it."""

    policy: Policy
    allowlist: Allowlist
    body: bytes

    @classmethod
    def of(cls, policy: Policy, before: "Told | None" = None) -> "Told":
        """`policy`, ready; what was in the list `before` isn't parsed again. Raises MessageTooLarge."""
        known = {text_of(network): network for network, _ in before.allowlist} if before else {}
        entries = [(known.get(each.network) or parse_network(each.network), each.reason) for each in policy.entries]
        # there must be room for it in every one that follows
        codec.encode(replace(policy, caught_up="-" * LONGEST_JOURNAL))
        return cls(policy=policy, allowlist=Allowlist(entries), body=codec.encode(policy))

    def publication(self, key: str, *, caught_up: str = "") -> Publication:
        """The message that tells whoever listens to `key`. `caught_up`: the journal whose catch-up it ends."""
        return Publication(
            exchange=topology.ORDERS,
            routing_key=key,
            kind=topology.POLICY,
            message_id=digest(topology.POLICY, self.policy.version, key, caught_up),
            body=codec.encode(replace(self.policy, caught_up=caught_up)) if caught_up else self.body,
        )


def effective(file: Sequence[PolicyEntry], by_hand: Sequence[Allowed]) -> tuple[PolicyEntry, ...]:
    """What agents are told: each network once, in an order that doesn't depend on where it comes from."""
    found = {each.network: PolicyEntry(network=each.network, reason=each.reason or BY_HAND) for each in by_hand}
    found.update({each.network: each for each in file})
    return tuple(found[network] for network in sorted(found))
