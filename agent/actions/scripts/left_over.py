"""Scripts that an earlier run of this agent has left: it was killed, and they went on."""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def kill_left_over(mark: Mapping[str, str], folder: str) -> int:
    """Kills the programs of `folder` that an earlier run of this agent started and did not see the end of: it was
    killed itself. `mark` is what its environment was given. Only leaders of their group that still are the program
    itself: what one has started on purpose, a service, may have inherited the mark.
    """
    wanted = [f"{name}={value}".encode() for name, value in mark.items()]
    found = [int(each.name) for each in PROC.iterdir() if each.name.isdecimal() and _is_left(each, wanted, folder)]
    for group in found:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    return len(found)


def _is_left(process: Path, wanted: Sequence[bytes], folder: str) -> bool:
    try:
        if os.getpgid(int(process.name)) != int(process.name):
            return False
        environment = (process / "environ").read_bytes().split(b"\0")
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it has gone meanwhile, or isn't ours to look at
        return False
    return all(each in environment for each in wanted) and any(
        os.path.dirname(word) == os.fsencode(folder) for word in words[:3]
    )
