"""The package's private node as tests want it: of another Debian too, guarded, with logins, and one that can hang.

Its folder goes with it, even when who owns it is killed.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import tenacity

from manager.up import private_broker
from manager.up.child import Child
from manager.up.private_broker import LOOPBACK, SERVER, Connect, Login
from shared.errors import BrokerError
from tests.stage import enter
from tests.stage.debian import HERE
from tests.stage.guard import Guard

__all__ = ["SERVER", "Login", "PrivateBroker"]


class PrivateBroker(private_broker.PrivateBroker):
    """One node; `close` removes its folder."""

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
        """As the package's; its programs are those of the Debian in `system`."""
        self._guard = Guard()
        self._guard.folder(folder.resolve())
        super().__init__(
            folder,
            address=address,
            port=port,
            user=user,
            node=f"thwart-{secrets.token_hex(4)}",
            server=system / SERVER.relative_to("/"),
            inside=(*inside, *(() if system == HERE else enter.system(system))),
            connect=connect,
        )

    @property
    def version(self) -> str:
        """RabbitMQ's, such as `3.10.8`."""
        return self.evaluate("rabbit_misc:version()").strip('"')

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

    def _spawn(self, command: Sequence[str], log: str) -> Child:
        child = super()._spawn(command, log)
        self._guard.session(child.pid)
        return child

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


def _binary(text: str) -> str:
    """An Erlang binary of `text`; as numbers nothing in it can be taken for code."""
    return "<<" + ",".join(str(byte) for byte in text.encode()) + ">>"
