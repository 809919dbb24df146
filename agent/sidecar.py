"""Ends an agent that was left behind in a network namespace that nobody is in any more.

A container that shares another one's network stays in the namespace that it was started in. When the other one is
started anew, Docker takes the interfaces out of that namespace and makes another: the agent protects nobody from then
on, and reaches no broker. Only a new start of its own container leads it to the other one. But Docker tries that once,
and never again if the other one isn't up then. So the agent ends once the other one is up, and stays while it isn't.

From inside nothing tells but /etc/hosts, which both share: Docker writes it in place, with the address of who is up. A
host that has lost its network is told apart by that: nobody writes its hosts file meanwhile.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import structlog
from msgspec import Struct

from agent import host
from agent.trouble import Trouble
from shared.errors import LeftBehind

LOOK = 1.0  # s between two looks
STEADY = 3.0  # s that the other one has to be up: one that fails at its start is down again by then
HOSTS = Path("/etc/hosts")
ALONE = "this network namespace has no address but loopback: there is nothing in it to protect"

log = structlog.get_logger()


class _Hosts(Struct, frozen=True):
    """A hosts file, and when it was written."""

    written: int = 0  # ns
    text: str = ""

    def name(self, who: str) -> bool:
        """True when it has an address for `who` by which others reach it (hosts(5))."""
        lines = (line.partition("#")[0].split() for line in self.text.splitlines())
        return any(who in names and _reachable(address) for address, *names in filter(None, lines))


class Sidecar:
    """Looks at the namespace's `addresses` and at the `hosts` file, in which `name` is this host's own."""

    def __init__(
        self,
        trouble: Trouble,
        *,
        hosts: Path = HOSTS,
        name: Callable[[], str] = host.hostname,
        addresses: Callable[[], Sequence[str]] = host.own_addresses,
    ) -> None:
        self._trouble, self._path, self._name, self._addresses = trouble, hosts, name, addresses
        self._before = _read(hosts)  # as it was when the namespace had an address last

    async def run(self) -> None:
        """Looks until cancelled. Raises LeftBehind."""
        while True:
            found = self.anew()
            await asyncio.sleep(STEADY if found else LOOK)
            if found and found == self.anew():
                log.error("left behind in a network namespace of the past; ending", action="left_behind")
                raise LeftBehind(
                    "the container whose network this agent shares was started anew, and has another network namespace "
                    "now; start this agent's container again to follow it, as its restart policy does"
                )

    def anew(self) -> _Hosts | None:
        """The hosts file, if the other one is up and in another namespace than this."""
        now = _read(self._path)  # first: what is written once the addresses are gone is news
        if self._somewhere():
            self._before = now
            self._trouble.over("sidecar")
            return None
        self._trouble.say("sidecar", ALONE)
        return now if now != self._before and now.name(self._name()) else None

    def _somewhere(self) -> bool:
        with suppress(OSError):
            return bool(self._addresses())
        return True  # as long as nobody knows better


def _read(path: Path) -> _Hosts:
    try:
        return _Hosts(path.stat().st_mtime_ns, path.read_text(errors="replace"))
    except OSError:
        return _Hosts()


def _reachable(address: str) -> bool:
    with suppress(ValueError):
        return not ip_address(address).is_loopback
    return False
