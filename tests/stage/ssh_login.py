"""A real ssh client that logs in, by password or by key, from an address of its choice."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.stage.network import Host
from tests.stage.own_etc import PASSWORD

OPTIONS = (
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    "NumberOfPasswordPrompts=1",
    "ConnectTimeout=20",
    "LogLevel=ERROR",
    "IdentityAgent=none",
)
BY_PASSWORD = ("PreferredAuthentications=password", "PubkeyAuthentication=no")
BY_KEY = ("PreferredAuthentications=publickey", "PasswordAuthentication=no", "IdentitiesOnly=yes")
WELCOME = "is in"  # what a login that succeeded prints
WELCOMES = f"echo {WELCOME}"
CONFIGURATION = (  # an sshd's: PAM as Debian has it; the user couldn't read the file where it is
    "UsePAM yes",
    "PubkeyAuthentication yes",
    "AuthorizedKeysCommand /bin/cat {keys}/%u.pub",
    "AuthorizedKeysCommandUser root",
)


class Logins:
    """Who may log in where, by a key each that is made here."""

    def __init__(self, folder: Path, client: Host, server: str) -> None:
        """`folder` is made; in it are the keys that the server is to know, as `CONFIGURATION` says."""
        folder.mkdir(mode=0o755)
        self._folder, self._client, self._server = folder, client, server
        self._askpass = folder / "askpass"
        self._askpass.write_text(f"#!/bin/sh\necho {shlex.quote(PASSWORD)}\n")
        self._askpass.chmod(0o755)

    @property
    def configuration(self) -> list[str]:
        """What comes first in the server's configuration."""
        return [line.format(keys=self._folder) for line in CONFIGURATION]

    def key_for(self, user: str) -> None:
        """Lets `user` in by a key."""
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / user)]
        subprocess.run(command, check=True, timeout=30)

    def by_password(self, user: str) -> bool:
        """Whether a login succeeds."""
        with self._started(user, BY_PASSWORD) as client:
            return _is_in(client)

    def by_key(self, user: str) -> bool:
        """Whether a login succeeds."""
        with self.session(user, what=WELCOMES) as client:
            return _is_in(client)

    def session(
        self, user: str, source: str = "", server: str = "", what: str = f"{WELCOMES}; exec sleep 60"
    ) -> "subprocess.Popen[bytes]":
        """One by a key, in which `what` runs."""
        how = (*BY_KEY, f"IdentityFile={self._folder / user}")
        return self._started(user, how, source, server, what)

    def _started(
        self, user: str, how: Sequence[str], source: str = "", server: str = "", what: str = WELCOMES
    ) -> "subprocess.Popen[bytes]":
        options = [word for option in (*OPTIONS, *how) for word in ("-o", option)]
        bound = ["-b", source] if source else []
        return subprocess.Popen(
            [*self._client.inside, "ssh", "-F", "none", *bound, *options, f"{user}@{server or self._server}", what],
            env={**os.environ, "SSH_ASKPASS": str(self._askpass), "SSH_ASKPASS_REQUIRE": "force"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )


def _is_in(client: "subprocess.Popen[bytes]") -> bool:
    said, _ = client.communicate(timeout=30)
    return said.decode().strip() == WELCOME
