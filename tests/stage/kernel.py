"""Watches a host's firewall from outside: when the kernel took an address, and what is in force now."""

import json
import subprocess
import sys
import threading
from typing import Any

from tests.stage import announcements
from tests.stage.guard import Guard
from tests.stage.network import Host


class KernelWatch:
    """Hears what a host's kernel announces about Thwart's sets, until its guard ends it."""

    def __init__(self, guard: Guard, host: Host) -> None:
        """Returns when it hears."""
        self._taken: dict[str, list[float]] = {}
        self._hears = threading.Event()
        self._child = subprocess.Popen(
            [*host.inside, sys.executable, "-I", "-S", announcements.__file__],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        guard.session(self._child.pid)
        threading.Thread(target=self._read, name=f"kernel of {host.name}", daemon=True).start()
        if not self._hears.wait(10):
            raise AssertionError(f"the kernel of {host.name} can't be watched")

    def taken(self, address: str, since: float) -> float | None:
        """The instant (Unix seconds) at which the kernel first took `address`, from `since` on; None: it did not."""
        return next((at for at in self._taken.get(address, []) if at >= since), None)

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            for at, address in [json.loads(line)] if self._hears.is_set() else []:
                self._taken.setdefault(address, []).append(at)
            self._hears.set()


def in_force(host: Host) -> set[str]:
    """The addresses in Thwart's sets on `host`, as nft lists them now."""
    found = json.loads(host.run("nft", "-j", "list", "table", "inet", "thwart"))["nftables"]
    return {_listed(entry) for each in found if "set" in each for entry in each["set"].get("elem", [])}


def _listed(entry: Any) -> str:
    return str(entry["elem"]["val"] if isinstance(entry, dict) else entry)
