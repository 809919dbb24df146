"""A daemon's state folder. Who has its lock owns the databases in it, and on a host its effects; nobody else does."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import FolderInUse, SettingsError

LOCK = "lock"


@contextmanager
def owned(folder: Path, setting: str) -> Iterator[None]:
    """Holds the folder's lock; makes the folder if there is none. A dead owner's lock is free.

    `setting` names the folder in the errors. Raises FolderInUse, and SettingsError when the folder can't be had at all.
    """
    descriptor = _open(folder, setting)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUse(
                f"{folder} belongs to another process, pid {_owner(descriptor)}; "
                f"stop that one, or give this one another {setting}"
            ) from error
        with suppress(OSError):  # a full disk: the lock counts, and the pid is for people
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _open(folder: Path, setting: str) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(
            f"{setting}: can't use {folder}: {error.strerror}; name another folder, or run as who may write there"
        ) from error


def _owner(descriptor: int) -> str:
    return os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
