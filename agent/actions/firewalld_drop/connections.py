"""Connections of this host with whom is blocked, ended by ss(8): for firewalls that pass on what they have let in.

At worst they go on: where the kernel can't do it (CONFIG_INET_DIAG_DESTROY), or `ss` isn't there. Those of hosts
behind this one do, and whatever isn't TCP.
"""

from collections.abc import Sequence
from contextlib import suppress

from agent.actions.tools.places import with_length
from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError

MANY = 100  # addresses in one call: what they are sorted out by gets longer with each
SOON = Tools(limit=2.0)
# Never sockets that listen: their peer is 0.0.0.0, which lies in 0.0.0.0/1.
ENDING = ("--kill", "--no-header", "--numeric", "--tcp", "state", "connected")


class Connections:
    """For one thread, in the network namespace of which they are ended."""

    def __init__(self, tools: Tools = SOON) -> None:
        self._ss = Tool("ss", tools)

    def end(self, keys: Sequence[str]) -> None:
        """Those with any of the addresses and networks, whoever began them; each end hears of it."""
        for start in range(0, len(keys), MANY):
            for arguments in endings(keys[start : start + MANY]):
                with suppress(ActionError):
                    self._ss.run(*arguments)


def endings(keys: Sequence[str]) -> list[list[str]]:
    """The arguments of each call. One for each family: with both in one, sockets of IPv4 alone are left out. An IPv4
    peer is found also where it is seen in the spelling of an IPv6 one.
    """
    by_family = ([key for key in keys if ":" not in key], [_ipv6(key) for key in keys if ":" in key])
    return [[*ENDING, *_any_of(peers)] for peers in by_family if peers]


def _any_of(peers: Sequence[str]) -> list[str]:
    return [word for peer in peers for word in ("or", "dst", peer)][1:]


def _ipv6(key: str) -> str:
    """With its length, because an address alone is taken apart at its last colon, for a port."""
    return f"inet6:{with_length(key)}"
