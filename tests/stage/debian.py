"""A minimal Debian in a folder, made by debootstrap from where this machine gets its own packages.

`python -m tests.stage.debian SUITE PACKAGE …` makes one that is kept, so that no test has to wait for it.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.errors import ThwartError

CACHE = Path(os.environ.get("THWART_TEST_CACHE") or "/var/cache/thwart")
HERE = Path("/")
LIMIT = 600  # s
# Whatever debootstrap mounts in there, and starts, ends with it.
ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
DOWNLOADED = ("var/cache/apt/archives", "var/lib/apt/lists")


def with_packages(suite: str, *packages: str) -> Path:
    """A root with `packages` of `suite`: this machine's own, if it is that suite, or one that is made once and kept.

    Half a minute for the first who asks, on any run; others wait for it. Raises ThwartError.
    """
    return HERE if platform.freedesktop_os_release().get("VERSION_CODENAME") == suite else kept(suite, *packages)


def kept(suite: str, *packages: str) -> Path:
    """As `with_packages`, but never this machine's own: for who boots it. Nothing in it is to be changed."""
    root = CACHE / "-".join((suite, *packages))
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        with root.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not root.exists():
                _make_whole(suite, root, packages, lock.fileno())
    except OSError as error:
        raise ThwartError(f"{root}: {error.strerror}; name another folder in THWART_TEST_CACHE") from error
    return root


def make(suite: str, root: Path, packages: Sequence[str] = (), keep_open: Sequence[int] = ()) -> None:
    """A new one at `root`. Raises ThwartError with debootstrap's words."""
    if not shutil.which("debootstrap"):
        raise ThwartError("debootstrap: not found; install it, or run scripts/setup")
    include = [f"--include={','.join(packages)}"] if packages else []
    mirror = _mirror()
    command = ["debootstrap", "--variant=minbase", *include, suite, str(root), *([mirror] if mirror else [])]
    done = subprocess.run(
        [*ALONE, *command], capture_output=True, text=True, check=False, timeout=LIMIT, pass_fds=keep_open
    )
    if done.returncode:
        raise ThwartError(f"debootstrap {suite}: {done.stdout[-2_000:]}{done.stderr[-2_000:]}")


def _make_whole(suite: str, root: Path, packages: Sequence[str], lock: int) -> None:
    """Nobody ever sees half of it: debootstrap holds the lock too, should this process die."""
    making = root.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    make(suite, making, packages, [lock])
    for folder in DOWNLOADED:
        shutil.rmtree(making / folder)
    making.rename(root)


def _mirror() -> str:
    """Where this machine gets its Debian from, as apt knows it; nothing: let debootstrap choose."""
    ask = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(SITE)", "Created-By: Packages"]
    done = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=60)
    sites = done.stdout.splitlines()
    return next((line.split()[1] for line in sites if line.startswith("Debian ") and "security" not in line), "")


if __name__ == "__main__":
    try:
        with_packages(*sys.argv[1:])
    except ThwartError as error:
        sys.exit(str(error))
