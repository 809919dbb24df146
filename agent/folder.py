"""The state folder. Who has its lock owns the journal and the host's state; nobody else touches either."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import FolderInUse, StoreError

JOURNAL, COLLECTOR, LOCK, CONTROL = "journal.db", "collector.db", "lock", "control"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Holds the folder's lock; makes the folder if there is none. A dead owner's lock is free.

    Raises FolderInUse, and StoreError when the folder can't be had at all.
    """
    descriptor = _open(folder)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUse(
                f"{folder} belongs to another thwart-agent, pid {_owner(descriptor)}; "
                "stop that one, or give this one an agent.state_dir and an agent.id of its own"
            ) from error
        with suppress(OSError):  # a full disk: the lock counts, and the pid is for people
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _open(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}; run as root, or set agent.state_dir") from error


def _owner(descriptor: int) -> str:
    return os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
