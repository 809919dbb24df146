"""Programs: the only home of subprocess in the agent. Never a shell, always an argument list.

The rule it keeps: whatever a program does, `Programs.run` returns soon after its time limit, has kept a bounded part of
what was printed, and leaves nothing of the program's process group behind. Who wants to leave something running on
purpose starts it with `setsid`.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

from msgspec import Struct

from shared.errors import ActionError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/"}  # and nothing of the agent's own, which has secrets in it
LISTENED = 64 * 1024  # bytes of standard output in which a line for us is looked for
KEPT = 4 * 1024  # bytes of the end of each output, unless more of it is asked for
WORDS = 500  # characters of it that are passed on
PIECE = 64 * 1024  # bytes read at once
LAST_PIECES = 16  # that are read after the end: a child that stayed may print for ever
DYING = 5.0  # s that a killed program may take to go; one that hangs in the kernel never does

Answer = Callable[[bytes], bytes | None]  # to a line of its output: what it is told, once


class Limits(Struct, frozen=True, kw_only=True):
    """Seconds, and how much is kept."""

    whole: float = 30.0  # from its start to its end
    grace: float = 5.0  # that standard input stays open for a program that is to say something and doesn't
    output: int = KEPT  # bytes of the end of its standard output that are kept


class Ended(Struct, frozen=True, kw_only=True):
    """How it ended. `code` is its exit status, negative for a signal; `words` the last that it printed, `output` the
    end of its standard output.
    """

    code: int
    words: str
    in_time: bool
    output: bytes = b""

    @property
    def how(self) -> str:
        """`exit code 3`, `killed by signal 9`."""
        return f"killed by signal {-self.code}" if self.code < 0 else f"exit code {self.code}"

    def told(self, how: str) -> str:
        """`how`, and its words, if it had any."""
        return f"{how}: {self.words}" if self.words else how


class Programs:
    """Runs programs, each in a session of its own, from any thread. `stop` ends all of them, now and later."""

    def __init__(self, environment: Mapping[str, str], limits: Limits) -> None:
        self._environment, self._limits = {**ENVIRONMENT, **environment}, limits
        self._running: set[int] = set()  # groups whose leader isn't reaped, so that the number is theirs
        self._one = threading.Lock()
        self._stopped = False

    def run(self, command: Sequence[str], said: bytes, answer: Answer | None = None) -> Ended:
        """Starts `command`, says `said`, and returns when it has ended, or was ended. With `answer` standard input
        stays open until a line of the output was answered, or the grace is over. Raises ActionError when it can't be
        started.
        """
        process = self._start(command)
        try:
            in_time = _Conversation(process, said, answer, self._limits).go_on()
        except OSError as error:  # this process has too many files open
            raise ActionError(f"{command[0]} can't be listened to: {error.strerror}") from error
        finally:
            self._end(process)
        return process.result(in_time=in_time)

    def stop(self) -> None:
        """Kills what runs. Twice is safe."""
        with self._one:
            self._stopped = True
            for group in self._running:
                _kill(group)

    def _start(self, command: Sequence[str]) -> "_Process":
        with self._one:
            if self._stopped:
                raise ActionError("the agent is stopping")
            process = _Process(command, self._environment, self._limits.output)
            self._running.add(process.pid)
            return process

    def _end(self, process: "_Process") -> None:
        with self._one:  # the leader is a zombie until `reap`: nobody else can have got its number
            _kill(process.pid)
            self._running.discard(process.pid)
        process.reap()


class _Process:
    """One that was started, and what it has printed."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], keep: int) -> None:
        try:
            self._process = started = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise ActionError(f"{command[0]} can't be started: {error.strerror}{_advice(error)}") from error
        self.pid = self._process.pid
        self.input, self.output, self.errors = map(_piped, (started.stdin, started.stdout, started.stderr))
        self.ends = _ends(started)
        for each in (self.input, self.output, self.errors):
            os.set_blocking(each.fileno(), False)
        self.kept = {self.output.fileno(): _Tail(keep), self.errors.fileno(): _Tail(KEPT)}
        self._words, self._printed = "", b""

    def read(self, descriptor: int) -> bytes | None:
        """What came; empty at the end, None when nothing did."""
        try:
            piece = os.read(descriptor, PIECE)
        except BlockingIOError:
            return None
        self.kept[descriptor].add(piece)
        return piece

    def close_input(self) -> None:
        """Twice is safe."""
        with suppress(OSError):
            self.input.close()

    def reap(self) -> None:
        """Waits for it, for a time: who was killed and doesn't go is left to the kernel."""
        for descriptor in self.kept:
            for _ in range(LAST_PIECES):
                if not self.read(descriptor):
                    break
        self._printed, errors = (self.kept[each.fileno()].last() for each in (self.output, self.errors))
        self._words = next(filter(None, map(_words, (errors, self._printed[-KEPT:]))), "")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(DYING)
        os.close(self.ends)
        self.close_input()
        self.output.close()
        self.errors.close()

    def result(self, *, in_time: bool) -> Ended:
        """After `reap`."""
        code = self._process.returncode
        code = -signal.SIGKILL if code is None else code
        return Ended(code=code, words=self._words, in_time=in_time, output=self._printed)


class _Tail:
    """The end of what is printed, however much that is."""

    def __init__(self, keep: int) -> None:
        self._keep, self._bytes = keep, bytearray()

    def add(self, piece: bytes) -> None:
        self._bytes += piece
        if len(self._bytes) > 2 * self._keep:
            del self._bytes[: -self._keep]

    def last(self) -> bytes:
        return bytes(self._bytes[-self._keep :])


class _Conversation:
    """What is said and heard while a program runs, in the thread that runs it."""

    def __init__(self, process: _Process, said: bytes, answer: Answer | None, limits: Limits) -> None:
        self._process, self._to_say, self._answer = process, said, answer
        now = time.monotonic()
        self._over, self._silence = now + limits.whole, now + limits.grace
        self._room, self._unfinished = LISTENED, b""
        self._selector = selectors.DefaultSelector()

    def go_on(self) -> bool:
        """Until it has ended, then True; or its time is over."""
        with self._selector:
            self._selector.register(self._process.ends, selectors.EVENT_READ)
            self._selector.register(self._process.input, selectors.EVENT_WRITE)
            for each in self._process.kept:
                self._selector.register(each, selectors.EVENT_READ)
            while (left := self._over - time.monotonic()) > 0:
                ready = {key.fd for key, _ in self._selector.select(min(left, self._patience()))}
                self._listen(ready)
                if self._process.ends in ready:
                    return True
                self._speak(ready)
        return False

    def _patience(self) -> float:
        if self._process.input.closed or self._answer is None or self._to_say:
            return float("inf")
        return max(0.0, self._silence - time.monotonic())

    def _speak(self, ready: set[int]) -> None:
        """Standard input is closed as soon as there is nothing more to be said: many read to its end first."""
        if self._process.input.closed:
            return
        descriptor = self._process.input.fileno()
        if descriptor in ready and self._to_say:
            try:
                self._to_say = self._to_say[os.write(descriptor, self._to_say) :]
            except BlockingIOError:
                return
            except OSError:  # it has closed its end
                self._to_say, self._answer = b"", None
        if self._to_say:
            return
        if self._answer is None or time.monotonic() >= self._silence:
            self._no_more()
        else:
            self._waits_to_write(False)

    def _listen(self, ready: set[int]) -> None:
        for descriptor in ready & self._process.kept.keys():
            piece = self._process.read(descriptor)
            if piece == b"":
                self._selector.unregister(descriptor)
            elif piece and descriptor == self._process.output.fileno() and self._answer is not None:
                self._understand(piece)

    def _understand(self, piece: bytes) -> None:
        """Looks for the one line that is for us; whatever else is printed is nobody's business."""
        piece = piece[: self._room]
        self._room -= len(piece)
        *lines, self._unfinished = (self._unfinished + piece).split(b"\n")
        for line in lines:
            if self._answer is not None and (words := self._answer(line)) is not None:
                self._answer, self._to_say = None, self._to_say + words
                if not self._process.input.closed:
                    self._waits_to_write(True)
                return
        if not self._room:
            self._answer = None

    def _waits_to_write(self, waits: bool) -> None:
        known = self._process.input in self._selector.get_map()
        if waits and not known:
            self._selector.register(self._process.input, selectors.EVENT_WRITE)
        elif known and not waits:
            self._selector.unregister(self._process.input)

    def _no_more(self) -> None:
        self._waits_to_write(False)
        self._process.close_input()


def _ends(process: "subprocess.Popen[bytes]") -> int:
    """A descriptor that can be read once it has ended."""
    try:
        return os.pidfd_open(process.pid)
    except OSError as error:
        process.kill()
        process.wait()
        raise ActionError(f"the end of a program can't be waited for: {error.strerror}") from error


def _piped(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ActionError("a pipe to it is missing: this is a bug, report it")
    return stream


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _words(printed: bytes) -> str:
    """The end of what it printed, in one line that does nothing to a terminal."""
    text = " | ".join(filter(None, map(str.strip, printed.decode(errors="replace").splitlines())))
    return "".join(letter if letter.isprintable() else "?" for letter in text)[-WORDS:]


def _advice(error: OSError) -> str:
    return "; begin it with a line such as #!/bin/sh" if error.strerror == "Exec format error" else ""
