"""Where this machine has its control groups: one tree of them (cgroup2), one for each controller, or both."""

from pathlib import Path

EVERY = ("cgroup", "cgroup2")  # kinds of file systems


def trees(*kinds: str) -> list[Path]:
    """Where those of `kinds` are mounted; of every kind, if none is named."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(where) for _, where, kind, *_ in mounts if kind in (kinds or EVERY)]
