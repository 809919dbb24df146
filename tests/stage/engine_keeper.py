"""Runs the tests' Docker engine while anybody uses it: `python -m tests.stage.engine_keeper FOLDER PROGRAMS`.

A process of its own, so that the engine outlives the test worker which was the first to want it. Users hold a shared
lock; whoever gets the exclusive one knows that the last is gone, be it by SIGKILL.
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TextIO

import httpx
import msgspec

from shared.errors import ThwartError
from tests.stage import cgroups, enter
from tests.stage.docker_client import DockerClient
from tests.stage.guard import NETNS, Guard
from tests.stage.process import Process
from tests.waiting import wait_for

DEVICE = "tap0"
NAMESERVER = "10.0.2.3"  # where slirp4netns passes on what is asked
CONNECTED = 30.0  # s for a network to be there, on a busy machine
KEPT = "4GB"  # of what builds have left; one of them takes 100 MB when the code has changed
# Its processes, the containers' too, see no others, and end with the first.
ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# /run is the engine's own: there it has its pid, its containerd, and everything that two engines would share. AppArmor
# is none of its business, since its parser may not be there.
BEGIN = """
mount -t tmpfs none /run
echo "nameserver {nameserver}" >/run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf
export PATH=/usr/sbin:/usr/bin
if [ -d /sys/kernel/security/apparmor ]; then mount -t tmpfs none /sys/kernel/security; fi
exec dockerd --config-file "$1"
"""


class Layout(msgspec.Struct, frozen=True):
    """Where everything of the engine in `folder` is."""

    folder: Path
    programs: Path  # a Debian with dockerd in it

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    @property
    def log(self) -> Path:
        """dockerd's and the keeper's words, since the start."""
        return self.folder / "log"

    @property
    def users(self) -> Path:
        """Locked, shared, by who uses the engine."""
        return self.folder / "users"

    @property
    def namespaces(self) -> str:
        """What the names of its networks begin with, and of its control groups; each start has one of its own."""
        at = self.folder.stat()
        return f"thwart-engine-{at.st_dev:x}-{at.st_ino:x}-"

    @property
    def namespace(self) -> Path:
        """Has the name of the network that published ports and `network_mode: host` are in; of this start."""
        return self.folder / "namespace"

    def configuration(self, name: str) -> str:
        """dockerd's; `name` is the start's."""
        return json.dumps(
            {
                "data-root": str(self.folder / "data"),
                "hosts": [f"unix://{self.socket}"],
                "dns": [NAMESERVER],
                "exec-opts": ["native.cgroupdriver=cgroupfs"],  # no systemd may be there
                "cgroup-parent": f"/{name}",
                "builder": {"gc": {"enabled": True, "defaultKeepStorage": KEPT}},
                "group": "root",
                "log-level": "warn",
            }
        )


def keep(layout: Layout) -> None:
    """Returns when the last user is gone, or the engine."""
    with (layout.folder / "keeper").open("w") as alone, layout.users.open("w") as users:
        fcntl.flock(alone, fcntl.LOCK_EX)
        _clear_killed(layout.namespaces)
        with Guard() as guard:
            namespace = layout.namespaces + secrets.token_hex(3)
            for tree in cgroups.trees():
                guard.cgroup(tree / namespace)
            _network(guard, namespace, layout.log)
            engine = _engine(guard, namespace, layout)
            layout.namespace.write_text(namespace)
            threading.Thread(target=_end_with_users, args=(users, engine, layout), daemon=True).start()
            engine.wait(within=threading.TIMEOUT_MAX)


def _clear_killed(namespaces: str) -> None:
    with Guard() as guard:
        for tree in cgroups.trees():
            for path in tree.glob(f"{namespaces}*"):
                guard.cgroup(path)
        for name in os.listdir(NETNS) if NETNS.exists() else ():
            if name.startswith(namespaces):
                guard.namespace(name)


def _network(guard: Guard, name: str, log: Path) -> None:
    """A namespace whose way to the world is a process: nothing of the machine's own network is changed.

    Raises ThwartError where that ends at once, as without /dev/net/tun: containers would have no network, and say no
    more than that they found nobody.
    """
    guard.namespace(name)
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    words = ["--configure", "--mtu=65520", "--disable-host-loopback", "--netns-type=path"]
    way = Process(guard, ["slirp4netns", *words, str(NETNS / name), DEVICE], log)
    wait_for(lambda: not way.running or _has_address(name), CONNECTED, 0.02)
    if not way.running:
        raise ThwartError(f"slirp4netns has ended: {way.last_words(3)}")


def _has_address(namespace: str) -> bool:
    command = ["ip", "-n", namespace, "-4", "-o", "address", "show", "dev", DEVICE]
    return bool(subprocess.run(command, capture_output=True, check=False).stdout)


def _engine(guard: Guard, namespace: str, layout: Layout) -> Process:
    configuration = layout.folder / "daemon.json"
    configuration.write_text(layout.configuration(namespace))
    begin = ["sh", "-ec", BEGIN.format(nameserver=NAMESERVER), "dockerd", str(configuration)]
    inside = [*enter.command(NETNS / namespace, "engine"), *ALONE, *enter.system(layout.programs)]
    return Process(guard, [*inside, *begin], layout.log)


def _end_with_users(users: TextIO, engine: Process, layout: Layout) -> None:
    fcntl.flock(users, fcntl.LOCK_EX)  # held until this process ends: who comes meanwhile waits
    with contextlib.suppress(ThwartError, httpx.TransportError):
        DockerClient(layout.socket).clear()
    engine.signal(signal.SIGKILL)  # there is nothing left that would want to end in good order


if __name__ == "__main__":
    keep(Layout(Path(sys.argv[1]), Path(sys.argv[2])))
