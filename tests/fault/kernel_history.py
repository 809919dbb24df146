"""What a host's kernel had in force from the beginning to the end of a test, as nft listed it many times a second."""

import re
import subprocess
import threading
import time

from msgspec import Struct
from msgspec.structs import replace

from tests.stage import enter
from tests.stage.network import Host

EVERY = 0.04  # s between two looks
LIST = ("nft", "list", "table", "inet", "thwart")
MEMBERS = re.compile(r"elements = \{([^}]*)\}")
MEMBER = re.compile(r"(?P<address>[0-9a-f.:]+)(?: timeout \w+)?(?: expires (?P<left>\w+))?\s*(?:,|$)")
SPAN = re.compile(r"(\d+)(ms|[dhms])")
UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
FOREVER = float("inf")


class Look(Struct, frozen=True, kw_only=True):
    """One look, between two instants in Unix seconds: seconds left by address, FOREVER for what has no end."""

    began: float
    done: float
    left: dict[str, float]


class Stay(Struct, frozen=True, kw_only=True):
    """An address that was there without a break. However slow the looks were, it was there at `since` and `until`."""

    since: float
    until: float
    gone: float  # by then; FOREVER if nobody saw that
    latest_end: float  # of all that it had


class KernelHistory:
    """Looks from now on until `close`. A host without the table has nothing in force."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._looks: list[Look] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"history of {host.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Looks no more."""
        self._closing.set()
        self._thread.join(10)

    def now(self) -> dict[str, float]:
        """What is in force, by a look that began after the call."""
        return self._host.call(_look).left

    def stays(self, address: str) -> list[Stay]:
        """When `address` was in force, one after the other."""
        stays: list[Stay] = []
        there = False
        for look in list(self._looks):
            was_there, there = there, address in look.left
            if there:
                end = look.began + look.left[address]
                new = Stay(since=look.done, until=look.began, gone=FOREVER, latest_end=end)
                before = stays.pop() if was_there else new
                stays.append(replace(before, until=look.began, latest_end=max(before.latest_end, end)))
            elif was_there:
                stays.append(replace(stays.pop(), gone=look.done))
        return stays

    def _run(self) -> None:
        enter.set_network(self._host.path)
        while not self._closing.wait(EVERY):
            self._looks.append(_look())


def _look() -> Look:
    began = time.time()
    done = subprocess.run(LIST, capture_output=True, text=True, check=False, timeout=10)
    members = [found for text in MEMBERS.findall(done.stdout) for found in MEMBER.finditer(text.strip())]
    return Look(began=began, done=time.time(), left={found["address"]: _seconds(found["left"]) for found in members})


def _seconds(span: str | None) -> float:
    if span is None:
        return FOREVER
    return sum(int(number) * UNITS[unit] for number, unit in SPAN.findall(span))
