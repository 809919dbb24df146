"""A throw-away /etc, with accounts of its own, for a thread and what that starts. Nobody else sees it.

The rule it keeps: the machine's own accounts and files are read once, to begin with, and never written.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from shared.errors import ThwartError
from tests.stage import enter

T = TypeVar("T")

# What programs that have to do with accounts and logins look at.
COPIED = (
    *("passwd", "shadow", "group", "gshadow", "login.defs", "nsswitch.conf", "shells", "environment", "hosts"),
    *("pam.d", "security", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "default"),
)
PASSWORD, HASHED = "Sesame, open", "$1$thwart$bFRHzkWZbOwMg22zwmK3T1"  # by MD5, which takes no time
# A wrong password costs 2 s otherwise.
PATIENT, AT_ONCE = "pam_unix.so nullok", "pam_unix.so nullok nodelay"


class OwnEtc:
    """`folder` is the /etc of whatever is called or run by it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o755)
        self.folder = folder
        for name in COPIED:
            _copy(Path("/etc", name), folder / name)
        auth = folder / "pam.d" / "common-auth"
        auth.write_text(auth.read_text().replace(PATIENT, AT_ONCE))
        self._thread = ThreadPoolExecutor(1, initializer=lambda: enter.set_etc(folder))

    def call(self, function: Callable[[], T]) -> T:
        """What `function` returns, or raises, in a thread that has this /etc."""
        return self._thread.submit(function).result()

    def run(self, *command: str, text: str = "", may_fail: bool = False) -> str:
        """What `command` prints with this /etc. Raises ThwartError with its words when it fails."""
        done = self.call(
            lambda: subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=30)
        )
        if done.returncode and not may_fail:
            raise ThwartError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def add(self, names: Iterable[str], *, first_uid: int = 20_000) -> None:
        """People's accounts, all with the same PASSWORD."""
        for uid, name in enumerate(names, first_uid):
            with (self.folder / "passwd").open("a") as passwd, (self.folder / "shadow").open("a") as shadow:
                passwd.write(f"{name}:x:{uid}:65534::/:/bin/sh\n")
                shadow.write(f"{name}:{HASHED}:20000:0:99999:7:::\n")

    def shadow(self, name: str) -> list[str]:
        """The fields of the account's line, its name first."""
        return self.run("getent", "shadow", name).rstrip("\n").split(":")

    def close(self) -> None:
        self._thread.shutdown()


def _copy(old: Path, new: Path) -> None:
    if old.is_dir():
        shutil.copytree(old, new, symlinks=True)
    elif old.exists():
        shutil.copy2(old, new)
        shutil.chown(new, old.stat().st_uid, old.stat().st_gid)
