"""Enters a host of the stage and becomes a command there: its network, its name, on demand its own /dev, /run and /etc.

Or another system: with the programs of a Debian in a folder, everything else is this machine's.

A script that runs alone (`python -I -S enter.py … -- COMMAND`): it replaces itself, so the pid is the command's.
"""

import argparse
import ctypes
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# From <sched.h> and <sys/mount.h>; Python has setns and unshare only since 3.12.
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 0x1000, 0x2000, 0x4000, 0x40000
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")

_libc = ctypes.CDLL(None, use_errno=True)


def set_network(path: Path) -> None:
    """Moves the calling thread, and it alone, into the network namespace at `path`. Raises OSError."""
    with path.open("rb") as namespace:
        _check(_libc.setns, namespace.fileno(), CLONE_NEWNET)


def set_etc(folder: Path) -> None:
    """Gives the calling thread, and it alone, and what it starts, `folder` as its /etc. Raises OSError."""
    _own_mounts()
    _mount(str(folder), Path("/etc"), "", MS_BIND)


def command(
    network: Path, name: str, *, syslog: Path | None = None, run: Sequence[str] = (), etc: Path | None = None
) -> tuple[str, ...]:
    """What goes before a command to run it on the host `name`; for `syslog`, `run`, `etc` see the script's options."""
    words = [sys.executable, "-I", "-S", __file__, "--net", str(network), "--hostname", name]
    words += ["--syslog", str(syslog)] if syslog else []
    words += ["--etc", str(etc)] if etc else []
    words += [word for folder in run for word in ("--run", folder)]
    return (*words, "--")


def own_etc(folder: Path) -> tuple[str, ...]:
    """What goes before a command to run it with `folder` as its /etc, on this machine's own network."""
    return (sys.executable, "-I", "-S", __file__, "--etc", str(folder), "--")


def system(root: Path) -> tuple[str, ...]:
    """What goes before a command to run it with the programs and the configuration of the Debian in `root`."""
    return (sys.executable, "-I", "-S", __file__, "--system", str(root), "--")


def _check(function: Callable[..., int], *arguments: object) -> None:
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(arguments))


def _mount(source: str, target: Path, kind: str, flags: int) -> None:
    _check(_libc.mount, source.encode(), bytes(target), kind.encode(), ctypes.c_ulong(flags), None)


def _own_mounts() -> None:
    """What is mounted from now on is mounted for this thread, and what it starts, alone."""
    _check(_libc.unshare, CLONE_NEWNS)
    _mount("none", Path("/"), "", MS_REC | MS_PRIVATE)


def _private_dev(syslog: Path) -> None:
    """A /dev with the devices that a daemon needs, where `log` leads to `syslog`.

    A network namespace doesn't isolate /dev/log, and on some hosts there is none to bind over.
    """
    stage = Path("/mnt")
    _mount("tmpfs", stage, "tmpfs", 0)
    for name in DEVICES:
        device, here = Path("/dev", name), stage / name
        if device.exists():
            here.mkdir() if device.is_dir() else here.touch()
            _mount(str(device), here, "", MS_BIND | MS_REC)
    (stage / "log").symlink_to(syslog)
    _mount(str(stage), Path("/dev"), "", MS_MOVE)


def _private_run(folders: Sequence[str]) -> None:
    """An empty /run with `folders` in it."""
    _mount("tmpfs", Path("/run"), "tmpfs", 0)
    for name in folders:
        Path("/run", name).mkdir(mode=0o755)


def _programs_of(root: Path) -> None:
    """/bin and /lib lead to /usr; every path outside of it stays, so that both systems share what they are given."""
    for name in ("usr", "etc"):
        _mount(str(root / name), Path("/", name), "", MS_BIND)


def _enter(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", type=Path, help="the network namespace's file")
    parser.add_argument("--hostname", help="with --net")
    parser.add_argument("--syslog", type=Path, help="socket that /dev/log is to be")
    parser.add_argument("--run", action="append", default=[], help="folder in a /run of its own")
    parser.add_argument("--etc", type=Path, help="folder that is to be /etc")
    parser.add_argument("--system", type=Path, help="folder of a Debian")
    parser.add_argument("command", nargs="+")
    wanted = parser.parse_args(arguments)
    if wanted.net:
        set_network(wanted.net)
        _check(_libc.unshare, CLONE_NEWUTS)
        socket.sethostname(wanted.hostname)
    _own_mounts()
    if wanted.syslog:
        _private_dev(wanted.syslog)
    if wanted.run:
        _private_run(wanted.run)
    if wanted.etc:
        _mount(str(wanted.etc), Path("/etc"), "", MS_BIND)
    if wanted.system:
        _programs_of(wanted.system)
    os.execvp(wanted.command[0], wanted.command)


if __name__ == "__main__":
    _enter(sys.argv[1:])
