"""Looks from outside: can this address reach that host, and what has its firewall dropped?"""

import json
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.stage.network import Host

LIMIT = 2.0  # s: who hasn't an answer by then is blocked
GREETING = b"hello\n"


class Listener:
    """A TCP service on a host that is not what was attacked: it greets whoever connects."""

    def __init__(self, host: Host, port: int = 8080) -> None:
        """Listens on all the host's addresses, IPv4 and IPv6, until `close`."""
        self.host, self.port = host, port
        self._socket = host.call(lambda: socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True))
        self._thread = threading.Thread(target=self._greet, name=f"listener on {host.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nobody can connect any more."""
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join()
        self._socket.close()

    def _greet(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
                with connection:
                    connection.sendall(GREETING)
            except OSError:
                if self._closed():
                    return

    def _closed(self) -> bool:
        return not self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def reaches(attacker: Host, source: str, listener: Listener, within: float = LIMIT) -> bool:
    """True when the listener's greeting arrives, False when nothing does in time. Raises OSError for anything else."""
    try:
        with attacker.connect((_same_family(listener.host, source), listener.port), within, source) as connection:
            connection.settimeout(within)
            return connection.recv(len(GREETING)) == GREETING
    except TimeoutError:
        return False


def side_by_side(attacker: Host, pairs: Sequence[tuple[str, Listener]], within: float = LIMIT) -> list[bool]:
    """`reaches` for each (source, listener), all at once: it takes as long as the slowest, not as all of them."""
    with ThreadPoolExecutor(max_workers=len(pairs)) as pool:
        return list(pool.map(lambda pair: reaches(attacker, pair[0], pair[1], within), pairs))


def dropped(host: Host) -> int:
    """How many packets Thwart's table has dropped on `host`, by the kernel's own counters."""
    found = json.loads(host.run("nft", "-j", "list", "table", "inet", "thwart"))["nftables"]
    named = {each["counter"]["name"]: int(each["counter"]["packets"]) for each in found if "counter" in each}
    return sum(_packets(each["rule"]["expr"], named) for each in found if "rule" in each)


def _packets(expressions: list[dict[str, Any]], named: dict[str, int]) -> int:
    """What the counter of a rule that drops has counted; 0 for other rules."""
    if not any("drop" in expression for expression in expressions):
        return 0
    counters = [expression["counter"] for expression in expressions if "counter" in expression]
    return sum(named[each] if isinstance(each, str) else int(each["packets"]) for each in counters)


def _same_family(host: Host, source: str) -> str:
    return next(address for address in host.addresses if (":" in address) == (":" in source))
