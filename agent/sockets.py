"""Unix sockets in the state folder, for root alone, however long the folder's path is."""

import os
import socket
from collections.abc import Callable
from pathlib import Path


def listener(folder: Path, name: str) -> socket.socket:
    """A socket that is bound to `name` there; one that a dead owner left is taken away."""
    (folder / name).unlink(missing_ok=True)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        _by_short_name(folder, name, one.bind)
    finally:
        os.umask(before)
    return one


def connected(folder: Path, name: str) -> socket.socket:
    """A socket that is connected to that one. Raises OSError."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _by_short_name(folder, name, one.connect)
    except OSError:
        one.close()
        raise
    return one


def _by_short_name(folder: Path, name: str, use: Callable[[str], None]) -> None:
    """A socket's address holds 107 bytes (unix(7)), and a state folder's path may be longer."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        use(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)
