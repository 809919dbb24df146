"""A program that this one has started and ends: the only home of subprocess in the manager. No shell, ever."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class Child:
    """Runs in a session of its own, so that Ctrl-C on the terminal reaches it through its owner alone."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        output: Path | None = None,
    ) -> None:
        """Starts `command` in `folder`; it prints to the end of the file `output`, or where this program does.

        Raises OSError when it can't be started.
        """
        printed = output.open("ab") if output else None
        try:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )
        finally:
            if printed:
                printed.close()
        self.pid = self._process.pid

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._process.poll() is None

    @property
    def ending(self) -> str:
        """How it ended, for people: `exit code 1`, `killed by SIGKILL`."""
        code = self._process.returncode
        return f"killed by {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"

    def end(self, number: signal.Signals, within: float) -> None:
        """Sends a signal and returns when it is gone: after `within` seconds SIGKILL sees to that. Twice is safe."""
        if not self.running:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
