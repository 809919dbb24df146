#!/usr/bin/env python3
"""Makes a fleet's secrets, once: RabbitMQ's users and their passwords, and the API's token. No default one exists.

What is there is kept, so that this may run before each start. A folder for each reader, to be mounted alone:

    rabbitmq/definitions.json     RabbitMQ's users, by hash, and what each may do
    manager/broker-url            the manager's login, as `broker.urls`
    manager/api.token             the token of the HTTP API
    agents/broker-url             the login that all agents share
    operator/rabbitmq-password    for RabbitMQ's management pages, as the user `operator`
    operator/erlang.cookie        what the nodes of a cluster know each other by
    grafana/admin-password        for Grafana, as the user `admin`
"""

import fcntl
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import click
from msgspec import Struct

from manager.api.tokens import OWNER
from manager.up.private_broker import hashed
from shared.errors import SettingsError
from shared.topology import EVENTS, LOGS

VHOST = "thwart"
AN_ID = "[A-Za-z0-9_-]+"
EVERYTHING, OURS = ".*", r"^thwart\."
SHARED = "rabbitmq"  # the folder that two of these have in common, even in containers with a volume for each folder
SECRET = 0o600
# There is nothing in it but hashes of 256 random bits, of which no password can be found, and every image of RabbitMQ
# has a user id of its own.
FOR_ANYBODY = 0o644


class Account(Struct, frozen=True, kw_only=True):
    """A user of RabbitMQ, by patterns of what it may `configure`, `write` to and `read`; `keys` are by exchange."""

    name: str
    tags: str = ""
    configure: str = OURS
    write: str = OURS
    read: str = OURS
    keys: tuple[tuple[str, str], ...] = ()


# A login's name with a dot is no agent's id, or what others send with it would be taken for that agent's.
MANAGER = Account(name="thwart.manager")
AGENTS = Account(  # orders nobody, not even through the default exchange; any agent's queue and word are all agents'
    name="thwart.agents",
    configure=rf"^thwart\.(orders|events|logs|dead|unroutable|manager\.[a-z]+)$|^thwart\.(agent|lock)\.{AN_ID}$",
    write=rf"^thwart\.(events|logs|dead|unroutable|manager\.[a-z]+)$|^thwart\.(agent|lock)\.{AN_ID}$",
    read=rf"^thwart\.(orders|events|logs|dead|unroutable)$|^thwart\.(agent|lock)\.{AN_ID}$",
    keys=((EVENTS, rf"^(acknowledgement|expiry|heartbeat)\.{AN_ID}$"), (LOGS, rf"^log\.{AN_ID}$")),
)
OPERATOR = Account(name="operator", tags="administrator", configure=EVERYTHING, write=EVERYTHING, read=EVERYTHING)


class Owner(Struct, frozen=True):
    """Whose the files of a folder are; -1 leaves them as they are."""

    user: int = -1
    group: int = -1


class Secrets:
    """The files below one folder. Each is written whole or not at all, and never again while it says the same."""

    def __init__(self, folder: Path, owners: Mapping[str, Owner]) -> None:
        self._folder, self._owners = folder, owners
        self.written: list[Path] = []

    def read(self, name: str) -> str:
        """What a file says; nothing when there is none."""
        with suppress(FileNotFoundError):
            return (self._folder / name).read_text().strip()
        return ""

    def keep(self, name: str, make: Callable[[], str], mode: int = SECRET) -> str:
        """What the file says, or now does."""
        return self.write(name, self.read(name) or make(), mode)

    def write(self, name: str, text: str, mode: int = SECRET) -> str:
        """Has the file say `text`. Returns that."""
        path = self._folder / name
        owner = self._owners.get(path.parent.name, Owner())
        _make(path.parent)
        # its reader, who could write there, would have the next run follow a link to somebody else's secret
        os.chown(path.parent, os.geteuid(), os.getegid())
        if self.read(name) != text:
            _replace(path, f"{text}\n")
            self.written.append(path)
        os.chown(path, owner.user, owner.group)
        path.chmod(mode)
        return text


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--broker", "brokers", multiple=True, default=["rabbitmq:5672"], show_default=True, metavar="HOST:PORT")
@click.option("--tls", is_flag=True, help="The brokers are spoken to by TLS, as deploy/rabbitmq/tls.conf has it.")
@click.option(
    "--owner", "owners", multiple=True, metavar="SUBFOLDER=UID[:GID]", help="Whose the files in it are to be."
)
def main(folder: Path, brokers: Sequence[str], tls: bool, owners: Sequence[str]) -> None:
    """Make the secrets of a fleet in FOLDER; what is there is kept.

    \b
    Examples:
      setup.py /run/thwart
      setup.py /run/thwart --owner manager=10001:10001 --owner grafana=472:0
      setup.py ./secrets --broker rabbit1:5672 --broker rabbit2:5672 --broker rabbit3:5672
      setup.py ./secrets --tls --broker rabbit1:5671
    """
    try:
        owned = dict(_owner(text) for text in owners)
        with _alone_in(folder / SHARED):
            written = set_up(Secrets(folder, owned), brokers, "amqps" if tls else "amqp")
    except SettingsError as error:
        sys.exit(f"setup: {error}")
    except OSError as error:
        sys.exit(f"setup: {error.filename or folder}: {error.strerror}")
    for path in written:
        print(f"made {path}")


def set_up(files: Secrets, brokers: Sequence[str], scheme: str) -> list[Path]:
    """Makes what is missing, and returns which files are new or say something else. Raises SettingsError, OSError."""
    passwords = {
        MANAGER: _login(files, "manager/broker-url", MANAGER, scheme, brokers),
        AGENTS: _login(files, "agents/broker-url", AGENTS, scheme, brokers),
        OPERATOR: files.keep("operator/rabbitmq-password", _random),
    }
    known = _known(files.read("rabbitmq/definitions.json"))
    hashes = {account: hashed(word, known.get(account.name, "")) for account, word in passwords.items()}
    files.write("rabbitmq/definitions.json", json.dumps(definitions(hashes), indent=1), FOR_ANYBODY)
    files.keep("manager/api.token", lambda: f"{OWNER} {_random()}")
    files.keep("operator/erlang.cookie", lambda: secrets.token_hex(32))
    files.keep("grafana/admin-password", _random)
    return files.written


def definitions(hashes: Mapping[Account, str]) -> dict[str, Any]:
    """What RabbitMQ imports when it starts: our virtual host, who there is, and what each may do there."""
    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            {
                "name": account.name,
                "password_hash": word,
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": account.tags,
            }
            for account, word in hashes.items()
        ],
        "permissions": [
            {
                "user": account.name,
                "vhost": VHOST,
                "configure": account.configure,
                "write": account.write,
                "read": account.read,
            }
            for account in hashes
        ],
        "topic_permissions": [
            {"user": account.name, "vhost": VHOST, "exchange": exchange, "write": keys, "read": EVERYTHING}
            for account in hashes
            for exchange, keys in account.keys
        ],
    }


def _login(files: Secrets, name: str, account: Account, scheme: str, brokers: Sequence[str]) -> str:
    """The password in a file of URLs, with which they are written anew: the brokers may be others."""
    known = files.read(name)
    password = _password(known) if known else _random()
    if not password:
        raise SettingsError(f"{name}: no AMQP URL with a password; remove it to have a new one made")
    login = f"{quote(account.name)}:{quote(password)}"
    files.write(name, ",".join(f"{scheme}://{login}@{each}/{VHOST}" for each in brokers))
    return password


def _password(urls: str) -> str:
    with suppress(ValueError):
        return urlsplit(urls.partition(",")[0]).password or ""
    return ""


def _known(text: str) -> dict[str, str]:
    """The hashes that were written before, by user."""
    with suppress(ValueError, KeyError, TypeError):
        return {user["name"]: user["password_hash"] for user in json.loads(text)["users"]}
    return {}


def _random() -> str:
    return secrets.token_urlsafe(32)


def _owner(text: str) -> tuple[str, Owner]:
    folder, _, ids = text.partition("=")
    numbers = ids.split(":")
    if not folder or len(numbers) > 2 or not all(each.isascii() and each.isdecimal() for each in numbers):
        raise SettingsError(f"--owner {text}: write SUBFOLDER=UID or SUBFOLDER=UID:GID, such as manager=10001:10001")
    return folder, Owner(*map(int, numbers))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """While another one makes secrets there this waits, and then finds them."""
    _make(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # whatever the umask: RabbitMQ, of another user id, reads its definitions


def _replace(path: Path, text: str) -> None:
    """At once and for good: a start that is cut short leaves no half of a password."""
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(new, path)
    except OSError:
        Path(new).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    main()
