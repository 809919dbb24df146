"""The stage's network: each host a network namespace, joined by a bridge in one of its own.

Nothing is put into the machine's own network. There is no gateway: everything is on the link.
"""

import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from shared.errors import ThwartError
from tests.stage import enter
from tests.stage.guard import NETNS, Guard, started

# What the bridge drops; the hosts' own firewalls, routes and links know nothing of it.
CUT = """
table bridge cut {
    set hosts { type ifname; }
    chain forward { type filter hook forward priority 0; iifname @hosts drop; oifname @hosts drop; }
}
"""

T = TypeVar("T")
NAME = re.compile(r"thwart-(?P<pids>\d+)\.(?P<pid>\d+)\.(?P<began>\d+)\.\d+-\w+")
PREFIX = {4: ("192.0.2.", "203.0.113."), 6: ("2001:db8:1::", "2001:db8:bad::")}  # documentation's: hosts, attackers


class Host:
    """A machine of the stage."""

    def __init__(self, name: str, namespace: str, addresses: Sequence[str]) -> None:
        self.name, self.namespace, self.addresses = name, namespace, tuple(addresses)

    @property
    def path(self) -> Path:
        """The namespace's file."""
        return NETNS / self.namespace

    @property
    def address(self) -> str:
        """Its first address."""
        return self.addresses[0]

    @property
    def inside(self) -> tuple[str, ...]:
        """What goes before a command to run it here; the pid is the command's own."""
        return enter.command(self.path, self.name)

    def run(self, *command: str, text: str = "") -> str:
        """What `command` prints here. Raises ThwartError with its words when it fails."""
        done = subprocess.run(
            [*self.inside, *command], input=text, capture_output=True, text=True, check=False, timeout=30
        )
        if done.returncode:
            raise ThwartError(f"{' '.join(command)} on {self.name}: {done.stderr.strip()}")
        return done.stdout

    def call(self, function: Callable[[], T]) -> T:
        """What `function` returns, or raises, in a thread that is here: the sockets that it makes are this host's."""
        outcome: list[T] = []
        failure: list[BaseException] = []

        def inside() -> None:
            try:
                enter.set_network(self.path)
                outcome.append(function())
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=inside, name=f"on {self.name}")
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return outcome[0]

    def connect(self, to: tuple[str, int], within: float, source: str = "") -> socket.socket:
        """A TCP connection from here, from the address `source`. Raises OSError."""
        return self.call(lambda: socket.create_connection(to, within, (source, 0) if source else None))


class Network:
    """Makes hosts and removes them with its guard."""

    def __init__(self, guard: Guard) -> None:
        """Removes first what killed runs have left."""
        self._guard = guard
        self._names = _run_name()
        remove_leftovers()
        self._bridge = self._namespace("bridge")
        _ip("-n", self._bridge, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._bridge, "link", "set", "bridge", "up")
        self._between = Host("bridge", self._bridge, ())

    def cut(self, host: Host) -> None:
        """Drops every packet to and from `host` until `mend`, and tells nobody: no FIN, no RST, no lost carrier."""
        self._between.run("nft", "-f", "-", text=f"{CUT}add element bridge cut hosts {{ {host.name} }}")

    def mend(self, host: Host) -> None:
        """Undoes `cut`."""
        self._between.run("nft", "delete", "element", "bridge", "cut", "hosts", f"{{ {host.name} }}")

    def host(self, name: str, number: int) -> Host:
        """A host with the addresses 192.0.2.`number` and 2001:db8:1::`number`."""
        return self._join(name, [number], attacker=False)

    def attacker(self, name: str, numbers: Sequence[int]) -> Host:
        """A host with the addresses 203.0.113.N and 2001:db8:bad::N for each number; IPv4 first."""
        return self._join(name, numbers, attacker=True)

    def _join(self, name: str, numbers: Sequence[int], *, attacker: bool) -> Host:
        namespace = self._namespace(name)
        _ip("-n", self._bridge, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("-n", self._bridge, "link", "set", name, "master", "bridge", "up")
        addresses = [f"{PREFIX[family][attacker]}{number}" for family in (4, 6) for number in numbers]
        for address in addresses:
            # Without duplicate detection an IPv6 address can be used at once.
            extra = ("/64", "nodad") if ":" in address else ("/24",)
            _ip("-n", namespace, "address", "add", address + extra[0], "dev", "eth0", *extra[1:])
        _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        for family, length in ((4, "0/24"), (6, "/64")):
            others = PREFIX[family][not attacker] + length
            _ip("-n", namespace, f"-{family}", "route", "add", others, "dev", "eth0")
        return Host(name, namespace, addresses)

    def _namespace(self, name: str) -> str:
        full = f"{self._names}-{name}"
        self._guard.namespace(full)
        _ip("netns", "add", full)
        return full


def remove_leftovers() -> None:
    """Namespaces of runs whose process is provably dead."""
    guard = Guard()
    for name in os.listdir(NETNS) if NETNS.exists() else []:
        found = NAME.fullmatch(name)
        if found and int(found["pids"]) == _pid_namespace() and started(int(found["pid"])) != int(found["began"]):
            guard.namespace(name)
    guard.close()


def _run_name() -> str:
    """Says whose it is: the pid namespace, the pid in it, when that began, and a number for each network."""
    pid = os.getpid()
    taken = {name.rpartition("-")[0] for name in (os.listdir(NETNS) if NETNS.exists() else [])}
    mine = (f"thwart-{_pid_namespace()}.{pid}.{started(pid)}.{number}" for number in range(1_000_000))
    return next(name for name in mine if name not in taken)


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise ThwartError(f"ip {' '.join(words)}: {done.stderr.strip()}; it needs root and CAP_NET_ADMIN")
