"""Files that others read, and write, at any time: read, made anew beside, and put in their place as a whole.

The rule it keeps: whoever looks, at any moment and after any crash, finds the old file or the new one, and nothing that
somebody else has written meanwhile is lost. What replaces a file has its owner, mode and attributes, and what Thwart's
processes do to a folder's files they do one after the other.
"""

import fcntl
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import tenacity

from shared.errors import ActionError, FileChanged

PATIENCE = 2.0  # s for another process; one of Thwart's takes some ms
PAUSE = 0.02  # s between two attempts
OWN = "thwart"  # ends the name of the file that is to replace another
LOCK = f".{OWN}.lock"

Mark = tuple[int, int, int, int]
T = TypeVar("T")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else who asks is in here meanwhile. The lock is a file that nobody else may open, for that long: on what
    all may read, the folder itself, everybody could take one and keep it.

    Raises ActionError when it isn't free for too long, or there is no such folder.
    """
    path = folder / LOCK
    with _told(path):
        descriptor = _patiently(lambda: _owned(path), path)
    try:
        yield
    finally:
        with suppress(OSError):  # one that is left is the next one's
            path.unlink()
        os.close(descriptor)


def wait_for_others(lock: Path) -> None:
    """Returns when no other program has `lock`, a file that some lock as lockf(3) does. Raises ActionError."""
    with _told(lock):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            _patiently(lambda: fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB), lock)
        finally:
            os.close(descriptor)


def may_replace(folder: Path) -> None:
    """Raises ActionError when no file in the folder could be replaced."""
    if not os.access(folder, os.W_OK | os.X_OK):
        why = "it is read-only" if os.geteuid() == 0 else "run the agent as root"
        raise ActionError(f"{folder} can't be written: {why}")


def mark(path: Path) -> Mark | None:
    """What changes whenever the file does, however it is done; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def read(path: Path) -> bytes:
    """All of it; empty when there is none. Raises ActionError."""
    with _told(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""


def replace(path: Path, content: bytes, *, was: bytes, mode: int) -> None:
    """Puts `content` in the place of what `was` in the file, and returns when that would survive a power cut.

    A new file gets `mode`. What a link leads to is replaced, and not the link. Raises ActionError, and FileChanged when
    something else is in the file by now.
    """
    with _told(path):
        real = Path(os.path.realpath(path))
        new = real.with_name(f".{real.name}.{OWN}")
        new.unlink(missing_ok=True)  # a killed process may have left one
        try:
            _write(new, content, lambda descriptor: _make_like(real, new, descriptor, mode))
            _put_in_place(real, new, was)
        finally:
            new.unlink(missing_ok=True)
        _flush_folder(real.parent)


def _write(path: Path, content: bytes, finish: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        finish(descriptor)
        os.fsync(descriptor)


def _put_in_place(real: Path, new: Path, was: bytes) -> None:
    """It is looked at just before: the disk has taken its time. What is appended even now is appended there, too."""
    with open(real, "rb") if real.exists() else io.BytesIO() as old:
        if old.read() != was:
            raise FileChanged(f"{real}: somebody else goes on changing it")
        os.replace(new, real)
        if late := old.read():
            with open(real, "ab") as file:
                file.write(late)


def _make_like(old: Path, new: Path, descriptor: int, mode: int) -> None:
    if not old.exists():
        os.fchmod(descriptor, mode)
        return
    found = old.stat()
    os.fchown(descriptor, found.st_uid, found.st_gid)
    shutil.copystat(old, new)  # the mode, and SELinux's label, without which others couldn't read it
    os.utime(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _owned(lock: Path) -> int:
    """A descriptor of `lock`, as it is there now. Raises BlockingIOError when another process has it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there = mark(lock)
        if there is None or there[0] != os.fstat(descriptor).st_ino:
            raise BlockingIOError  # whoever had it has taken it away since we opened it
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _patiently(attempt: Callable[[], T], lock: Path) -> T:
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(BlockingIOError),
        stop=tenacity.stop_after_delay(PATIENCE),
        wait=tenacity.wait_fixed(PAUSE),
        reraise=True,
    )
    try:
        return attempts(attempt)
    except BlockingIOError as error:
        raise ActionError(f"{lock}: another process has had it locked for {PATIENCE:g} s") from error


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ActionError(f"{path}: {error.strerror}") from error
