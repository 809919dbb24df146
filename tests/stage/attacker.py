"""A real ssh client that tries passwords, one connection after the other, until it is told to stop."""

import itertools
import os
import pwd
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable

from tests.stage.network import Host

WANTED = ("admin", "oracle", "test", "postgres", "ubnt", "git", "deploy", "minecraft")
_EXIST = {account.pw_name for account in pwd.getpwall()}
NOBODY = tuple(name for name in WANTED if name not in _EXIST)  # users that do not exist here
OPTIONS = (
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    "PreferredAuthentications=password",
    "PubkeyAuthentication=no",
    "NumberOfPasswordPrompts=1",
    "ConnectTimeout=3",
    "LogLevel=ERROR",
)
LIMIT = 10.0  # s for one attempt


class Attack:
    """Guesses from one address; `stop` kills the connection in hand.

    A connection that hangs when the block begins could otherwise write one more line when the block ends.
    """

    def __init__(self, host: Host, source: str, victim: str, users: Iterable[str] = NOBODY, most: int = 20) -> None:
        """Begins at once, in a thread; at most `most` attempts with `users` in turn."""
        self._host, self._source, self._victim = host, source, victim
        self._users = itertools.islice(itertools.cycle(users), most)
        self._stopped = threading.Event()
        self._client: subprocess.Popen[bytes] | None = None
        self.attempts = 0
        self._thread = threading.Thread(target=self._go_on, name=f"attack from {source}")
        self._thread.start()

    def stop(self) -> None:
        """No more attempts on return."""
        self._stopped.set()
        if self._client:
            self._client.send_signal(signal.SIGKILL)
        self._thread.join()

    def until(self, enough: Callable[[], bool], within: float) -> bool:
        """Lets it go on until `enough` says so, or for `within` seconds; whether it was enough. Stops it."""
        end = threading.Event()
        try:
            for _ in range(int(within / 0.01)):
                if enough():
                    return True
                end.wait(0.01)
            return False
        finally:
            self.stop()

    def _go_on(self) -> None:
        for user in self._users:
            if self._stopped.is_set():
                return
            self.attempts += 1
            self._try(user)

    def _try(self, user: str) -> None:
        self._client = subprocess.Popen(
            [*self._host.inside, *_ssh(user, self._source, self._victim)],
            # The password is whatever /bin/echo says when it is asked: the words of the prompt.
            env={**os.environ, "SSH_ASKPASS": "/bin/echo", "SSH_ASKPASS_REQUIRE": "force"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self._stopped.is_set():
            self._client.kill()
        try:
            self._client.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self._client.kill()
            self._client.wait()


def _ssh(user: str, source: str, victim: str) -> list[str]:
    options = [word for option in OPTIONS for word in ("-o", option)]
    return ["ssh", "-F", "none", "-b", source, *options, f"{user}@{victim}", "true"]
