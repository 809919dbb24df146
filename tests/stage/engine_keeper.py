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
from tests.stage import enter
from tests.stage.docker_client import DockerClient
from tests.stage.guard import NETNS, Guard
from tests.stage.process import Process

NAMESERVER = "10.0.2.3"  # where slirp4netns passes on what is asked
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
        """What the names of its networks begin with; each start has one of its own."""
        return f"thwart-engine-{self.folder.stat().st_ino}-"

    @property
    def namespace(self) -> Path:
        """Has the name of the network that published ports and `network_mode: host` are in."""
        return self.folder / "namespace"

    def configuration(self) -> str:
        """dockerd's."""
        return json.dumps(
            {
                "data-root": str(self.folder / "data"),
                "hosts": [f"unix://{self.socket}"],
                "dns": [NAMESERVER],
                "exec-opts": ["native.cgroupdriver=cgroupfs"],  # no systemd may be there
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
            _network(guard, namespace, layout.log)
            engine = _engine(guard, namespace, layout)
            layout.namespace.write_text(namespace)
            threading.Thread(target=_end_with_users, args=(users, engine, layout), daemon=True).start()
            engine.wait(within=threading.TIMEOUT_MAX)


def _clear_killed(namespaces: str) -> None:
    with Guard() as guard:
        for name in os.listdir(NETNS) if NETNS.exists() else ():
            if name.startswith(namespaces):
                guard.namespace(name)


def _network(guard: Guard, name: str, log: Path) -> None:
    """A namespace whose way to the world is a process: nothing of the machine's own network is changed."""
    guard.namespace(name)
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    words = ["--configure", "--mtu=65520", "--disable-host-loopback", "--netns-type=path"]
    Process(guard, ["slirp4netns", *words, str(NETNS / name), "tap0"], log)


def _engine(guard: Guard, namespace: str, layout: Layout) -> Process:
    configuration = layout.folder / "daemon.json"
    configuration.write_text(layout.configuration())
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
