"""One agent for each network namespace: two would hold one firewall to two journals, and undo each other's blocks.

The lock is an abstract Unix socket, which each network namespace has for itself and the kernel frees with its process
(unix(7)). Anybody may bind its name, so only root, or who is this agent's user, is believed to be an agent.
"""

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import structlog
import tenacity
from msgspec import Struct

from shared.errors import NamespaceInUse, Unreachable

NAME = "\0thwart-agent"
LONGEST = 500  # bytes of what the holder says of itself
PATIENCE = 1.0  # s for it to say so: a thread of its own does, also while its loop hangs
_ATTEMPTS, _PAUSE = 5, 0.1  # s: it may be between its two steps, or ending
_CREDENTIALS = struct.Struct("iII")  # pid, uid, gid (unix(7), SO_PEERCRED)

log = structlog.get_logger()


class _Holder(Struct, frozen=True, kw_only=True):
    """Who listens there; `pid` is 0 for a process of another container."""

    pid: int
    uid: int
    said: str


@contextmanager
def held(about: Callable[[], str]) -> Iterator[None]:
    """Holds this network namespace. Whoever wants it too is told `about`, which a thread of its own asks for.

    Raises NamespaceInUse. Where there are no such sockets, on anything but Linux, nothing is held.
    """
    listener = _listener() if sys.platform == "linux" else None
    if listener is None:
        yield
        return
    telling = Thread(target=_tell, args=(listener, about), name="namespace", daemon=True)
    telling.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # it wakes the thread, which would keep the name
        telling.join()
        listener.close()


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(Unreachable),
    stop=tenacity.stop_after_attempt(_ATTEMPTS),
    wait=tenacity.wait_fixed(_PAUSE),
    retry_error_callback=lambda _: _go_on("a program that doesn't listen there"),
)
def _listener() -> socket.socket | None:
    """A socket that listens under the name; None where somebody has it who is no agent."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        one.bind(NAME)
        one.listen()
        return one
    except OSError as error:
        one.close()
        if error.errno != errno.EADDRINUSE:
            raise
    holder = _asked()
    if holder.uid not in (0, os.geteuid()):
        _go_on(f"pid {holder.pid} of uid {holder.uid}")
        return None
    pid = f"pid {holder.pid}" if holder.pid else "a process of another container"
    raise NamespaceInUse(
        f"an agent protects this network namespace already: {holder.said or 'it does not say which'} ({pid}); "
        "stop that one, or give this one a network of its own"
    )


def _go_on(who: str) -> None:
    """An ordinary user of the host must not be able to keep it without an agent."""
    log.warning(
        "the name that keeps a second agent out of this network namespace is taken by something else",
        action="namespace_not_held",
        by=who,
    )


def _asked() -> _Holder:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(PATIENCE)
        try:
            one.connect(NAME)
        except OSError as error:  # refused, or its queue is full: our own is never
            raise Unreachable("the name is taken, and nobody listens") from error
        pid, uid, _ = _CREDENTIALS.unpack(one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        said = b""
        with suppress(OSError):
            said = one.recv(LONGEST)
    return _Holder(pid=pid, uid=uid, said="".join(each for each in said.decode(errors="replace") if each.isprintable()))


def _tell(listener: socket.socket, about: Callable[[], str]) -> None:
    """Until the listener is shut down."""
    while True:
        try:
            one, _ = listener.accept()
        except OSError:
            return
        with one, suppress(Exception):  # whatever happens to one who asks, the next is answered
            one.settimeout(PATIENCE)
            one.sendall(about().encode()[:LONGEST])
