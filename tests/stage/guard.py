"""Clears away what a run made, in a process of its own, so that even SIGKILL leaves nothing behind.

The run tells its guard what it makes, before or as soon as it is made. The guard acts once: when the pipe to it
closes, by `close()` or because the run is dead. It runs alone, without the project, hence no import from there.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType

NETNS = Path("/run/netns")
PATIENCE = 5.0  # s for what was killed to be gone


class Guard:
    """The run's end of the pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C on the terminal is for the run
            cwd="/",
        )

    def session(self, leader: int) -> None:
        """Every process of the session that `leader` (a pid) began."""
        self._tell("session", leader, started(leader))

    def folder(self, path: Path) -> None:
        """`path` and everything in it."""
        self._tell("folder", str(path))

    def cgroup(self, path: Path) -> None:
        """The control group at `path`, those below it, and every process in them."""
        self._tell("cgroup", str(path))

    def mount(self, path: Path) -> None:
        """The file system that is mounted at `path`."""
        self._tell("mount", str(path))

    def namespace(self, name: str) -> None:
        """The named network namespace and every process in it."""
        self._tell("namespace", name)

    def close(self) -> None:
        """Clears everything away and returns when that is done. A second call does nothing."""
        self._process.communicate()

    def _tell(self, *words: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def started(pid: int) -> int | None:
    """When `pid` began, in clock ticks since boot: with the pid it names one process for ever. None: no such one."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def members(session: int) -> list[int]:
    """The living processes of a session."""
    return [pid for pid in _pids() if (fields := _stat(pid)) and int(fields[3]) == session and fields[0] != "Z"]


def inhabitants(namespace: str) -> list[int]:
    """The processes in a named network namespace."""
    try:
        wanted = (NETNS / namespace).stat().st_ino
    except OSError:
        return []
    return [pid for pid in _pids() if _inode(pid) == wanted]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (see proc(5)), after the name, which may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _inode(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return 0


def _end_session(leader: int, began: int | None) -> None:
    # A pid is not given to anyone else while it names a session: only a leader that began at another time is not ours.
    if started(leader) in (None, began):
        _kill_until_gone(lambda: members(leader))


def _remove_namespace(name: str) -> None:
    _kill_until_gone(lambda: inhabitants(name))
    if (NETNS / name).exists():
        subprocess.run(["ip", "netns", "delete", name], check=False, timeout=30)


def _remove_cgroup(path: str) -> None:
    """Its processes are gone a moment after they are killed, and until then it can't be removed."""
    top, end = Path(path), time.monotonic() + PATIENCE
    with contextlib.suppress(OSError):
        (top / "cgroup.kill").write_text("1")
    while top.exists() and time.monotonic() < end:
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        time.sleep(0.01)


def _unmount(path: str) -> None:
    if os.path.ismount(path):
        subprocess.run(["umount", "--lazy", path], check=False, timeout=30)


def _kill_until_gone(living: Callable[[], list[int]]) -> None:
    end = time.monotonic() + PATIENCE
    while (left := end - time.monotonic()) > 0 and (pids := living()):
        with contextlib.ExitStack() as stack:
            killed = [process for pid in pids if (process := _killed(pid, stack)) is not None]
            select.select(killed, [], [], left)  # one of them is gone: who is left may have new children


def _killed(pid: int, stack: contextlib.ExitStack) -> int | None:
    """A descriptor that can be read once the process that was killed is gone; None when it is already."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    stack.callback(os.close, process)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
    return process


def _stand_guard() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    things = [json.loads(line) for line in sys.stdin if line.endswith("\n")]
    undo: dict[str, Callable[..., None]] = {
        "session": _end_session,
        "cgroup": _remove_cgroup,
        "namespace": _remove_namespace,
        "mount": _unmount,
        "folder": partial(shutil.rmtree, ignore_errors=True),
    }
    for kind, act in undo.items():  # who writes into a folder is gone before it is removed
        for what, *more in reversed(things):
            if what == kind:
                act(*more)


if __name__ == "__main__":
    _stand_guard()
