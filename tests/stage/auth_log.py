"""An auth.log as a busy, attacked host has it: the same lines for the same numbers, half of them an attack's."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2025, 11, 3, tzinfo=UTC)
HOST = "web1"
_AT_ONCE = 8  # attackers, each for some thousand lines
_BOUT = 200  # lines after which one of them gives way to the next

_USERS = ("admin", "oracle", "test", "ubuntu", "git", "postgres", "pi", "user", "ftp", "deploy")
_OWN = ("anna", "ben", "deploy", "backup")


def auth_log(lines: int, attackers: int = 1_000, seed: int = 1) -> Iterator[str]:
    """So many lines in RFC 3164 form, without newlines; ten a second."""
    chance = random.Random(seed)
    made = 0
    while made < lines:
        source = address((made // _BOUT + chance.randrange(_AT_ONCE)) % attackers)
        group = _attack(chance, source) if chance.random() < 0.42 else _ordinary(chance)
        for program, message in group[: lines - made]:
            at = BEGIN + timedelta(seconds=made // 10)
            yield f"{at:%b} {at.day:2} {at:%H:%M:%S} {HOST} {program}: {message}"
            made += 1


def address(number: int) -> str:
    """The address of one attacker."""
    return f"198.18.{number // 250}.{number % 250 + 1}"


def _attack(chance: random.Random, source: str) -> list[tuple[str, str]]:
    port = chance.randrange(1_024, 65_536)
    sshd = f"sshd[{chance.randrange(1_000, 99_999)}]"
    noise = f"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={source} "
    if chance.random() < 0.5:
        user = chance.choice(_USERS)
        return [
            (sshd, f"Invalid user {user} from {source} port {port}"),
            (sshd, "pam_unix(sshd:auth): check pass; user unknown"),
            (sshd, noise),
            (sshd, f"Failed password for invalid user {user} from {source} port {port} ssh2"),
            (sshd, f"Connection closed by invalid user {user} {source} port {port} [preauth]"),
        ]
    return [
        (sshd, f"{noise} user=root"),
        (sshd, f"Failed password for root from {source} port {port} ssh2"),
        (sshd, f"Received disconnect from {source} port {port}:11: Bye Bye [preauth]"),
        (sshd, f"Disconnected from authenticating user root {source} port {port} [preauth]"),
    ]


def _ordinary(chance: random.Random) -> list[tuple[str, str]]:
    kind, user, pid = chance.random(), chance.choice(_OWN), chance.randrange(1_000, 99_999)
    if kind < 0.4:
        return [
            (f"CRON[{pid}]", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
            (f"CRON[{pid}]", "pam_unix(cron:session): session closed for user root"),
        ]
    if kind < 0.7:
        port = chance.randrange(1_024, 65_536)
        return [
            (
                f"sshd[{pid}]",
                f"Accepted publickey for {user} from 192.0.2.7 port {port} ssh2: ED25519 SHA256:{pid:043}",
            ),
            (f"sshd[{pid}]", f"pam_unix(sshd:session): session opened for user {user}(uid=1000) by (uid=0)"),
            ("systemd-logind[612]", f"New session {pid} of user {user}."),
            (f"sshd[{pid}]", f"Received disconnect from 192.0.2.7 port {port}:11: disconnected by user"),
            (f"sshd[{pid}]", f"Disconnected from user {user} 192.0.2.7 port {port}"),
            (f"sshd[{pid}]", f"pam_unix(sshd:session): session closed for user {user}"),
        ]
    return [
        ("sudo", f"    {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/apt update"),
        ("sudo", f"pam_unix(sudo:session): session opened for user root(uid=0) by {user}(uid=1000)"),
        ("sudo", "pam_unix(sudo:session): session closed for user root"),
    ]
