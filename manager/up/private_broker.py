"""A RabbitMQ node of our own, from the distribution's package, that lives in one folder and leaves nothing outside it.

It has its own Erlang cookie, node name, ports and epmd, which this starts and stops too; it runs as root or not. What
was in the folder before stays: queues, messages, and the password.
"""

import base64
import hashlib
import json
import os
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import tenacity
from msgspec import Struct

from manager.up.child import Child
from shared.errors import BrokerError

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the wrapper in /usr/sbin refuses other users than root's own
HELLO = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"  # what a broker that takes connections answers to HELLO
LOOPBACK = "127.0.0.1"
PASSWORD = "password"  # noqa: S105 # a file's name
EPMD_START = 5.0  # s
Connect = Callable[[tuple[str, int], float], socket.socket]  # address, seconds -> connected; raises OSError

# Without cluster_name a host name that doesn't resolve stalls some connects for 5 s; with the default backlog of 128
# some of many agents that connect at once wait a second. Naming one listen option drops the others' defaults, and
# without nodelay a delivery can wait 40 ms for the acknowledgement of the one before.
CONFIGURATION = """\
listeners.tcp.default = {address}:{port}
cluster_name = thwart
tcp_listen_options.backlog = 4096
tcp_listen_options.nodelay = true
load_definitions = {definitions}
loopback_users = none
disk_free_limit.absolute = 50MB
log.file.level = warning
log.console = false
"""

# Erlang asks this file instead of the host's resolver: in a minimal system nothing says what localhost is.
RESOLVER = """\
{{lookup, [file]}}.
{{host, {{127,0,0,1}}, ["localhost", "{hostname}"]}}.
"""


class Login(Struct, frozen=True, kw_only=True):
    """A user of the broker with a virtual host of the same name, where it may do everything."""

    name: str
    password: str
    url: str


class PrivateBroker:
    """One node. `start`, `stop` and `kill` block; `close` ends everything and leaves the folder."""

    def __init__(
        self,
        folder: Path,
        *,
        address: str = LOOPBACK,
        port: int = 0,
        user: str = "thwart",
        node: str = "thwart",
        server: Path = SERVER,
        inside: Sequence[str] = (),
        connect: Connect = socket.create_connection,
    ) -> None:
        """A node that will listen on `address` (port 0: any that is free).

        `inside` goes before each of its commands: what makes them die with us, or run in another network namespace
        (`nsenter --net=…`), from where `connect` then opens a connection. `server` is looked for before a start.
        """
        self._folder = folder.resolve()
        self._program, self._inside, self._connect = server, tuple(inside), connect
        self._address = address
        self._port, self._dist_port, self._epmd_port = port or free_port(), free_port(), free_port()
        self._node = f"{node}@localhost"
        self._epmd: Child | None = None
        self._server: Child | None = None
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._login = self._login_named(user, password=self._password())
        self._lay_out()

    @property
    def url(self) -> str:
        """An AMQP URL of the node's own user."""
        return self._login.url

    @property
    def pid(self) -> int:
        """The Erlang machine's process. Raises BrokerError when it isn't running."""
        if self._server is None or not self._server.running:
            raise BrokerError("the private RabbitMQ node isn't running; start() it")
        return self._server.pid

    @property
    def running(self) -> bool:
        """True while the process lives, whether it answers or not."""
        return self._server is not None and self._server.running

    def start(self, within: float = 60.0) -> None:
        """Returns when the node takes connections. Raises BrokerError, with its last words, when it doesn't."""
        if not self._program.exists():
            raise BrokerError(f"{self._program}: not found; install the package rabbitmq-server")
        if not self.running:
            self._start_epmd()
            self._server = self._spawn([str(SERVER)], "server.log")
        if not _soon(lambda: self._answers() or not self.running, within) or not self.running:
            words = self._last_words()
            self.kill()
            raise BrokerError(f"the private RabbitMQ node didn't come up within {within:.0f} s: {words}")

    def stop(self, within: float = 30.0) -> None:
        """Stops the node in good order; what is durable stays."""
        self._end(signal.SIGTERM, within)

    def kill(self) -> None:
        """SIGKILL, as a crash would end it."""
        self._end(signal.SIGKILL, 5.0)

    def close(self) -> None:
        """Ends the node, in good order, and epmd. Twice is safe."""
        self.stop()
        if self._epmd is not None:
            self._epmd.end(signal.SIGTERM, 5.0)

    def __enter__(self) -> "PrivateBroker":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- the folder ------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._write(".erlang.cookie", secrets.token_hex(16)).chmod(0o400)  # Erlang refuses one that others may read
        definitions = self._write("definitions.json", json.dumps(self._definitions()))
        self._write(
            "rabbitmq.conf",
            CONFIGURATION.format(address=self._address, port=self._port, definitions=definitions),
        )
        self._write("inetrc", RESOLVER.format(hostname=socket.gethostname().partition(".")[0]))
        for name in ("advanced.config", "enabled_plugins", "env.conf"):
            self._write(name, {"advanced.config": "[].\n", "enabled_plugins": "[].\n"}.get(name, ""))

    def _write(self, name: str, text: str) -> Path:
        return write_secret(self._folder / name, text)

    def _password(self) -> str:
        """The one that the node was made with: other programs may know it."""
        path = self._folder / PASSWORD
        with suppress(FileNotFoundError):
            if known := path.read_text().strip():
                return known
        return self._write(PASSWORD, secrets.token_urlsafe(16)).read_text()

    def _definitions(self) -> dict[str, object]:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        secret = {"password_hash": hashed(self._login.password), "hashing_algorithm": "rabbit_password_hashing_sha256"}
        return {
            "users": [{"name": self._login.name, "tags": "administrator", **secret}],
            "vhosts": [{"name": "/"}],
            "permissions": [{"user": self._login.name, "vhost": "/", **everything}],
        }

    def _login_named(self, name: str, *, vhost: str = "/", password: str = "") -> Login:
        password = password or secrets.token_urlsafe(16)
        where = f"{self._address}:{self._port}" if ":" not in self._address else f"[{self._address}]:{self._port}"
        url = f"amqp://{quote(name)}:{password}@{where}/{quote(vhost, safe='')}"
        return Login(name=name, password=password, url=url)

    def _environment(self) -> dict[str, str]:
        folder, port = self._folder, str(self._epmd_port)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "ERL_EPMD_PORT": port,
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_INETRC": str(folder / "inetrc"),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the Erlang machine: our child is the node itself
            "RABBITMQ_SERVER_START_ARGS": "-noinput +B i",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": self._address,
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CTL_DIST_PORT_MIN": "1024",
            "RABBITMQ_CTL_DIST_PORT_MAX": "65535",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "node.pid"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "env.conf"),
        }

    # -- processes -------------------------------------------------------------------------------------------------

    def _spawn(self, command: Sequence[str], log: str) -> Child:
        return Child([*self._inside, *command], self._environment(), folder=self._folder, output=self._folder / log)

    def _start_epmd(self) -> None:
        """epmd outlives the node that would start it, so it is started here and ended with the rest."""
        if self._epmd is not None and self._epmd.running:
            return
        try:
            self._epmd = self._spawn(["epmd", "-address", LOOPBACK, "-port", str(self._epmd_port)], "epmd.log")
        except OSError as error:
            raise BrokerError(f"epmd: {error.strerror}; install the package erlang-base") from error
        if not _soon(self._epmd_answers, EPMD_START):
            raise BrokerError(f"epmd didn't come up: {(self._folder / 'epmd.log').read_text()}")

    def _epmd_answers(self) -> bool:
        with suppress(OSError), self._connect((LOOPBACK, self._epmd_port), 1.0):
            return True
        return False

    def _end(self, number: signal.Signals, within: float) -> None:
        if self._server is not None:
            self._server.end(number, within)
            self._server = None

    def _answers(self) -> bool:
        """True when AMQP is spoken on the port."""
        with suppress(OSError), self._connect((self._address, self._port), 1.0) as connection:
            connection.sendall(HELLO)
            return connection.recv(1) == METHOD_FRAME
        return False

    def _last_words(self) -> str:
        texts = [path.read_text(errors="replace") for path in sorted(self._folder.glob("**/*.log"))]
        return "\n".join(line for text in texts for line in text.splitlines()[-20:])


def write_secret(path: Path, text: str) -> Path:
    """A file that its owner alone can read, whatever was there."""
    path.unlink(missing_ok=True)  # as any user but root, a file of mode 400 can only be replaced
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def hashed(password: str, known: str = "") -> str:
    """RabbitMQ's salted SHA-256: base64 of four salt bytes and the digest of salt and password.

    With the salt of a `known` one it is the same again, if the password is.
    """
    salt = base64.b64decode(known)[:4] or secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _soon(check: Callable[[], bool], within: float) -> bool:
    """Whether `check` comes true in time."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda answer: not answer),
        wait=tenacity.wait_fixed(0.05),
        stop=tenacity.stop_after_delay(within),
        retry_error_callback=lambda _: False,
    )
    return bool(attempts(check))


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of loopback."""
    with suppress(OSError), socket.create_server((LOOPBACK, port)):
        return True
    return False
