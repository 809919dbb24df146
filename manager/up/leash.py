"""Becomes a command that the kernel kills when its parent dies, however that dies: even SIGKILL leaves no orphan.

A script that runs alone (`python -I -S leash.py PARENT COMMAND …`): it replaces itself, so the pid is the command's.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>; it stays over exec


def command() -> tuple[str, ...]:
    """What goes before a command. The parent is the thread that starts it, which therefore has to stay."""
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()))


def _become(parent: int, words: list[str]) -> None:
    # SIGKILL and not SIGTERM: who starts the next one at once must not find this one still stopping in good order
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the kernel was told
        sys.exit(1)
    try:
        os.execvp(words[0], words)  # noqa: S606
    except OSError as error:
        sys.exit(f"{words[0]}: {error.strerror}")


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
