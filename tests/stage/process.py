"""A real process on the stage: started with a log file, ended in good order or killed, and always guarded."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.stage.guard import Guard


class Process:
    """Runs in a session of its own, so that Ctrl-C reaches it only through its owner."""

    def __init__(
        self, guard: Guard, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Starts `command`; its output goes to the end of `log`. `environment` is added to this process's own."""
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        guard.session(self._child.pid)

    @property
    def pid(self) -> int:
        """Also after its end."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._child.poll() is None

    def stop(self, within: float = 10.0) -> int:
        """SIGTERM; the exit status. Raises AssertionError, and kills it, when it takes longer."""
        self.signal(signal.SIGTERM)
        try:
            return self._child.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"pid {self.pid} did not end within {within} s of SIGTERM: {self.last_words()}"
            ) from None

    def kill(self) -> None:
        """SIGKILL, and gone on return."""
        self.signal(signal.SIGKILL)
        self._child.wait()

    def signal(self, number: signal.Signals) -> None:
        """Does nothing when it has ended."""
        with suppress(ProcessLookupError):
            self._child.send_signal(number)

    def wait(self, within: float) -> int:
        """The exit status, when it ends by itself. Raises subprocess.TimeoutExpired."""
        return self._child.wait(within)

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
