"""A RabbitMQ node of our own, from a Debian package, that lives in one folder and leaves nothing outside it.

It has its own Erlang cookie, node name, ports and epmd, which this starts and stops too; it runs as root or not.
"""

import base64
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import tenacity
from msgspec import Struct

from shared.errors import BrokerError
from tests.stage import enter
from tests.stage.debian import HERE
from tests.stage.guard import Guard

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the wrapper in /usr/sbin refuses other users than root's own
HELLO = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"  # what a broker that takes connections answers to HELLO
LOOPBACK = "127.0.0.1"
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
    """One node. `start`, `stop`, `kill` and `restart` block; `close` ends everything and removes the folder."""

    def __init__(
        self,
        folder: Path,
        *,
        address: str = LOOPBACK,
        port: int = 0,
        user: str = "thwart",
        system: Path = HERE,
        inside: Sequence[str] = (),
        connect: Connect = socket.create_connection,
    ) -> None:
        """A node that will listen on `address` (port 0: any that is free); its programs are those of `system`.

        For a node in another network namespace, `inside` is what goes before a command to run it there
        (`nsenter --net=…`), and `connect` opens a connection from there.
        """
        self._folder = folder.resolve()
        self._program = system / SERVER.relative_to("/")
        self._inside = (*inside, *(() if system == HERE else enter.system(system)))
        self._connect = connect
        self._address = address
        self._port, self._dist_port, self._epmd_port = port or _free_port(), _free_port(), _free_port()
        self._node = f"thwart-{secrets.token_hex(4)}@localhost"
        self._login = self._login_named(user)
        self._guard = Guard()
        self._guard.folder(self._folder)
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._lay_out()

    @property
    def version(self) -> str:
        """RabbitMQ's, such as `3.10.8`."""
        return self.evaluate("rabbit_misc:version()").strip('"')

    @property
    def url(self) -> str:
        """An AMQP URL of the node's own user."""
        return self._login.url

    @property
    def pid(self) -> int:
        """The Erlang machine's process. Raises BrokerError when it isn't running."""
        if not self.running:
            raise BrokerError("the private RabbitMQ node isn't running; start() it")
        assert self._server is not None
        return self._server.pid

    @property
    def running(self) -> bool:
        """True while the process lives, whether it answers or not."""
        return self._server is not None and self._server.poll() is None

    def start(self, within: float = 60.0) -> None:
        """Returns when the node takes connections. Raises BrokerError, with its last words, when it doesn't."""
        if not self._program.exists():
            raise BrokerError(f"{self._program}: not found; install the package rabbitmq-server")
        if not self.running:
            self._start_epmd()
            self._server = self._spawn([str(SERVER)], "server.log")
        end = time.monotonic() + within
        while not self._answers():
            if not self.running or time.monotonic() > end:
                words = self._last_words()
                self.kill()
                raise BrokerError(f"the private RabbitMQ node didn't come up within {within:.0f} s: {words}")
            time.sleep(0.05)

    def stop(self, within: float = 30.0) -> None:
        """Stops the node in good order; what is durable stays."""
        self._end(signal.SIGTERM, within)

    def kill(self) -> None:
        """SIGKILL, as a crash would end it."""
        self._end(signal.SIGKILL, 5.0)

    def hang(self) -> None:
        """SIGSTOP: its connections stand, and nobody answers on them. `kill` ends that."""
        os.kill(self.pid, signal.SIGSTOP)

    def restart(self) -> None:
        """Stops and starts."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Ends the node and epmd and removes the folder."""
        self.kill()
        self._guard.close()

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl ARGUMENTS` prints; takes a second or two. Raises BrokerError with its words."""
        return self._run([str(SERVER.with_name("rabbitmqctl")), *arguments])

    def wipe(self) -> None:
        """Everything that a node which doesn't run knows is gone: users, queues, messages."""
        shutil.rmtree(self._folder / "mnesia")

    def add_login(self, name: str) -> Login:
        """A user and a virtual host called `name`, in some 30 ms. Raises BrokerError."""
        login = self._login_named(name, vhost=name)
        self.admit(login)
        return login

    def admit(self, login: Login) -> None:
        """Makes a login that it does not know, as after `wipe`. Raises BrokerError."""
        host, user, password, all_ = (_binary(text) for text in (login.name, login.name, login.password, ".*"))
        self.evaluate(
            f"rabbit_vhost:add({host}, <<>>),"
            f"rabbit_auth_backend_internal:add_user({user}, {password}, <<>>),"
            f"rabbit_auth_backend_internal:set_permissions({user}, {host}, {all_}, {all_}, {all_}, <<>>)"
        )

    def remove_login(self, name: str) -> None:
        """The opposite of `add_login`; cuts its connections."""
        self.evaluate(
            f"rabbit_vhost:delete({_binary(name)}, <<>>),"
            f"rabbit_auth_backend_internal:delete_user({_binary(name)}, <<>>)"
        )

    def sync(self) -> None:
        """What has been declared is on the disk. The node writes it behind, and SIGKILL takes what is a moment old."""
        # where a quorum queue's log is stands in a table of its own: without that it would never have a leader again
        self.evaluate("mnesia:sync_log(), [ok = dets:sync(Table) || Table <- dets:all()], ok")

    def evaluate(self, expressions: str) -> str:
        """What Erlang `expressions` give in the node. Raises BrokerError."""
        answer = self._call(f"{expressions}.\n")
        if not answer.startswith("{ok,"):
            raise BrokerError(f"RabbitMQ did not do {expressions}: {answer}")
        return answer.removeprefix("{ok,").strip().removesuffix("}").strip()

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
        self._folder.mkdir(parents=True, exist_ok=True)
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        definitions = self._write("definitions.json", json.dumps(self._definitions()))
        self._write(
            "rabbitmq.conf",
            CONFIGURATION.format(address=self._address, port=self._port, definitions=definitions),
        )
        self._write("inetrc", RESOLVER.format(hostname=socket.gethostname().partition(".")[0]))
        for name in ("advanced.config", "enabled_plugins", "env.conf"):
            self._write(name, {"advanced.config": "[].\n", "enabled_plugins": "[].\n"}.get(name, ""))

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def _definitions(self) -> dict[str, object]:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        hashed = {"password_hash": _hashed(self._login.password), "hashing_algorithm": "rabbit_password_hashing_sha256"}
        return {
            "users": [{"name": self._login.name, "tags": "administrator", **hashed}],
            "vhosts": [{"name": "/"}],
            "permissions": [{"user": self._login.name, "vhost": "/", **everything}],
        }

    def _login_named(self, name: str, vhost: str = "/") -> Login:
        password = secrets.token_urlsafe(16)
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

    def _spawn(self, command: Sequence[str], log: str) -> subprocess.Popen[bytes]:
        with (self._folder / log).open("ab") as output:
            process = subprocess.Popen(
                [*self._inside, *command],
                env=self._environment(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._guard.session(process.pid)
        return process

    def _start_epmd(self) -> None:
        """epmd outlives the node that would start it, so it is started here and ended with the folder."""
        if self._epmd is not None and self._epmd.poll() is None:
            return
        self._epmd = self._spawn(["epmd", "-address", LOOPBACK, "-port", str(self._epmd_port)], "epmd.log")
        end = time.monotonic() + EPMD_START
        while subprocess.run(
            [*self._inside, "epmd", "-port", str(self._epmd_port), "-names"], capture_output=True, check=False
        ).returncode:
            if time.monotonic() > end:
                raise BrokerError(f"epmd didn't come up: {(self._folder / 'epmd.log').read_text()}")
            time.sleep(0.02)

    def _end(self, number: signal.Signals, within: float) -> None:
        if self._server is None:
            return
        with suppress(ProcessLookupError):
            self._server.send_signal(number)
        try:
            self._server.wait(within)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None

    def _run(self, command: Sequence[str], text: str = "") -> str:
        done = subprocess.run(
            [*self._inside, *command],
            env=self._environment(),
            cwd=self._folder,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        words = done.stdout.decode(errors="replace").strip()
        if done.returncode:
            raise BrokerError(f"{command[0]} ended with {done.returncode}: {words}")
        return words

    @tenacity.retry(  # on a busy machine erl_call may give up before the node has answered its greeting
        retry=tenacity.retry_if_exception_message(match=r"(?s).*failed to connect"),
        stop=tenacity.stop_after_attempt(4),
        wait=tenacity.wait_fixed(0.5),
        reraise=True,
    )
    def _call(self, text: str) -> str:
        return self._run(["erl_call", "-n", self._node, "-fetch_stdout", "-e"], text)

    def _answers(self) -> bool:
        """True when AMQP is spoken on the port."""
        with suppress(OSError), self._connect((self._address, self._port), 1.0) as connection:
            connection.sendall(HELLO)
            return connection.recv(1) == METHOD_FRAME
        return False

    def _last_words(self) -> str:
        texts = [path.read_text(errors="replace") for path in sorted(self._folder.glob("**/*.log"))]
        return "\n".join(line for text in texts for line in text.splitlines()[-20:])


def _hashed(password: str) -> str:
    """RabbitMQ's salted SHA-256: base64 of four salt bytes and the digest of salt and password."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _binary(text: str) -> str:
    """An Erlang binary of `text`; as numbers nothing in it can be taken for code."""
    return "<<" + ",".join(str(byte) for byte in text.encode()) + ">>"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
