"""What a process may, as the kernel itself has it (proc(5), capabilities(7)), and which ones run beside it."""

import os
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

NET_ADMIN = 1 << 12  # CAP_NET_ADMIN in a capability set


class Rights(Struct, frozen=True, kw_only=True):
    """Of one process; each set of capabilities is a number with a bit for each."""

    pid: int
    command: str
    user: int
    effective: int
    permitted: int
    inheritable: int
    bounding: int
    ambient: int
    no_new_privileges: bool
    seccomp: bool  # whether a filter says which system calls it has

    @property
    def capabilities(self) -> tuple[int, int, int, int, int]:
        """Effective, permitted, inheritable, bounding, ambient."""
        return self.effective, self.permitted, self.inheritable, self.bounding, self.ambient


def rights(pid: int) -> Rights:
    """Raises OSError when there is no such process."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    said = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert len(set(said["Uid"])) == 1, "a process with several user ids"
    return Rights(
        pid=pid,
        command=" ".join(said["Name"]),
        user=int(said["Uid"][0]),
        effective=int(said["CapEff"][0], 16),
        permitted=int(said["CapPrm"][0], 16),
        inheritable=int(said["CapInh"][0], 16),
        bounding=int(said["CapBnd"][0], 16),
        ambient=int(said["CapAmb"][0], 16),
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
