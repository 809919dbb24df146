"""What rc.d scripts of FreeBSD and OpenBSD have in common here: services of a simulated host, each a real process."""

import os
import signal
import subprocess
from contextlib import suppress

from tests.stage.simulators.host import State

SLEEPS = ("/bin/sleep", "300")


def service(state: State, name: str) -> dict[str, object]:
    """That service, which is made with its first use."""
    services: dict[str, dict[str, object]] = state.setdefault("services", {})  # type: ignore[assignment]
    return services.setdefault(name, {"enabled": True, "pid": 0, "broken": False})


def known(state: State) -> dict[str, dict[str, object]]:
    """All services, by name."""
    return state.get("services", {})  # type: ignore[return-value]


def runs(kept: dict[str, object]) -> int:
    """Its process, 0 when it has none."""
    pid = int(kept["pid"])  # type: ignore[call-overload]
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return 0 if stat.read().rpartition(b")")[2].split()[0] == b"Z" else pid
    except FileNotFoundError:
        return 0


def start(kept: dict[str, object]) -> None:
    """A daemon in a session of its own; one that is broken ends at once."""
    command = ("/bin/true",) if kept["broken"] else SLEEPS
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    kept["pid"] = process.pid
    if kept["broken"]:
        process.wait()


def stop(kept: dict[str, object]) -> None:
    """Gone on return."""
    pid = runs(kept)
    if not pid:
        return
    with suppress(ProcessLookupError):
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        with os.fdopen(ended, "rb") as end:
            import select

            select.select([end], [], [], 5.0)
