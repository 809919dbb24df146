"""What systemd is told of a daemon (sd_notify(3)): that it has started, how it is, that it lives. Nothing without it.

`WATCHDOG=1` comes from a thread and only while nothing hangs, so that a daemon that does is started anew.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Thread

MICRO = 1_000_000
PATIENCE = 0.1  # s for systemd to take a word: if it doesn't listen, no order waits for longer


class Notify:
    """Talks to the socket that `NOTIFY_SOCKET` names, a path or `@` and an abstract name. Nothing here raises."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._pause = _watchdog(environment) / 2
        self._status = ""

    def started(self, status: str) -> None:
        """What was to be done at the start is done."""
        self._status = status
        self._say("READY=1", f"STATUS={status}")

    def status(self, sentence: str) -> None:
        """How it is, for `systemctl status`; said when it changes."""
        if self._status and sentence != self._status:  # not before it has started: systemd shows what it waits for then
            self._status = sentence
            self._say(f"STATUS={sentence}")

    def reloading(self) -> None:
        """The configuration is read anew; `reloaded` ends it. The time is what Type=notify-reload asks for."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def reloaded(self) -> None:
        """The reload is over, whatever came of it."""
        self._say("READY=1")

    def stopping(self) -> None:
        """It ends, on purpose."""
        self._say("STOPPING=1")

    def watch(self, hangs: Callable[[], bool]) -> None:
        """Says twice in the time that systemd allows that it lives, unless it hangs; nothing if nobody asks."""
        if self._address and self._pause:
            Thread(target=self._watch, args=(hangs,), name="watchdog", daemon=True).start()

    def _watch(self, hangs: Callable[[], bool]) -> None:
        while True:
            if not hangs():
                self._say("WATCHDOG=1")
            time.sleep(self._pause)

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one:
            one.settimeout(PATIENCE)
            one.sendto("\n".join(each.replace("\n", " ") for each in lines).encode(), address)


def _watchdog(environment: Mapping[str, str]) -> float:
    """Seconds between two signs of life at most, if this process is asked for them; 0: it isn't."""
    span, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    mine = not pid or pid == str(os.getpid())
    return int(span) / MICRO if mine and span.isascii() and span.isdecimal() else 0.0
