"""Watches a host's firewall from outside: when the kernel took an address, for how long, and what is in force now."""

import json
import subprocess
import sys
import threading
from typing import Any

from msgspec import Struct

from tests.stage import announcements
from tests.stage.guard import Guard
from tests.stage.network import Host


class Change(Struct, frozen=True, kw_only=True):
    """What one transaction came to for one member of a set, or for all of them (`member` empty)."""

    at: float
    set: str
    member: str
    left: float | None  # seconds from then on; None: until lifted, 0: gone


class KernelWatch:
    """Hears what a host's kernel announces about Thwart's sets, until its guard ends it."""

    def __init__(self, guard: Guard, host: Host) -> None:
        """Returns when it hears."""
        self._changes: list[Change] = []
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

    @property
    def changes(self) -> list[Change]:
        """All of them so far."""
        return list(self._changes)

    @property
    def alive(self) -> bool:
        """False when something may have been missed."""
        return self._child.poll() is None

    def taken(self, address: str, since: float) -> float | None:
        """The instant (Unix seconds) at which the kernel first took `address`, from `since` on; None: it did not."""
        return next((at for at in self._taken.get(address, []) if at >= since), None)

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            for at, name, member, left in [json.loads(line)] if self._hears.is_set() else []:
                self._changes.append(Change(at=at, set=name, member=member, left=left))
                if left != 0:
                    self._taken.setdefault(member, []).append(at)
            self._hears.set()


def in_force(host: Host) -> set[str]:
    """The addresses and networks in Thwart's sets on `host`, as nft lists them now."""
    found = json.loads(host.run("nft", "-j", "list", "table", "inet", "thwart"))["nftables"]
    sets = [each["set"] for each in found if "set" in each]
    return {_listed(each["name"], entry) for each in sets for entry in each.get("elem", [])}


def _listed(name: str, entry: Any) -> str:
    """A network's set is named for its prefix: `nets4_24`."""
    _, cut, length = name.partition("_")
    return str(entry["elem"]["val"] if isinstance(entry, dict) else entry) + (f"/{length}" if cut else "")
