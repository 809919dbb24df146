"""Watches a host's firewall from outside: when the kernel took an address, and what is in force now."""

import json
import subprocess
import threading
import time
from typing import Any

from tests.stage.guard import Guard
from tests.stage.network import Host


class KernelWatch:
    """`nft monitor` on a host, from the moment this is made until its guard ends it."""

    def __init__(self, guard: Guard, host: Host) -> None:
        self._taken: dict[str, list[float]] = {}
        self._monitor = subprocess.Popen(
            [*host.inside, "nft", "-j", "monitor", "new", "elements"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        guard.session(self._monitor.pid)
        threading.Thread(target=self._read, name=f"kernel of {host.name}", daemon=True).start()

    def taken(self, address: str, since: float) -> float | None:
        """The instant (Unix seconds) at which the kernel first took `address`, from `since` on; None: it did not."""
        return next((at for at in self._taken.get(address, []) if at >= since), None)

    def _read(self) -> None:
        assert self._monitor.stdout is not None
        for line in self._monitor.stdout:
            at = time.time()
            for address in _timed(json.loads(line)):
                self._taken.setdefault(address, []).append(at)


def in_force(host: Host) -> set[str]:
    """The addresses in Thwart's sets on `host`, as nft lists them now."""
    found = json.loads(host.run("nft", "-j", "list", "table", "inet", "thwart"))["nftables"]
    return {address for each in found if "set" in each for address in _addresses(each["set"].get("elem", []))}


def _timed(event: dict[str, Any]) -> list[str]:
    """Addresses that came with a timeout: what is put in only to be taken out again has none."""
    try:
        elements = event["add"]["element"]["elem"]["set"]
    except KeyError:
        return []
    return _addresses([each for each in elements if isinstance(each, dict)])


def _addresses(elements: list[Any]) -> list[str]:
    return [str(each["elem"]["val"] if isinstance(each, dict) else each) for each in elements]
