"""What a process may, as the kernel itself has it (proc(5), capabilities(7)), and which ones run beside it."""

import os
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

NET_ADMIN = 1 << 12  # CAP_NET_ADMIN in a capability set
SETS = ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")


class Rights(Struct, frozen=True, kw_only=True):
    """Of one process."""

    pid: int
    command: str
    user: int
    capabilities: tuple[int, ...]  # effective, permitted, inheritable, bounding, ambient: a number with a bit for each
    no_new_privileges: bool
    seccomp: bool  # whether a filter says which system calls it has


def rights(pid: int) -> Rights:
    """Raises OSError when there is no such process."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    said = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert len(set(said["Uid"])) == 1, "a process with several user ids"
    return Rights(
        pid=pid,
        command=" ".join(said["Name"]),
        user=int(said["Uid"][0]),
        capabilities=tuple(int(said[each][0], 16) for each in SETS),
        no_new_privileges=said["NoNewPrivs"] == ["1"],
        seccomp=said["Seccomp"] == ["2"],
    )


def all_rights(pid: int) -> list[Rights]:
    """Its own, and of all `beside` it: programs, and not what Docker is before it becomes one, for a check's sake."""
    found = []
    for each in beside(pid):
        with suppress(OSError):  # a check that has just ended
            found.append(rights(each))
    return [each for each in found if not each.command.startswith("runc")]


def beside(pid: int) -> list[int]:
    """It, and whoever is in its process namespace, such as all of a container."""
    mine = os.readlink(f"/proc/{pid}/ns/pid")
    found = []
    for each in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        with suppress(OSError):
            if os.readlink(f"/proc/{each}/ns/pid") == mine:
                found.append(each)
    return found
