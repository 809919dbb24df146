"""firewalld, asked over D-Bus. The only module that imports jeepney.

The rule it keeps: a firewalld or a bus that hangs holds its caller up once, and then is left alone for longer and
longer; and firewalld is never started by asking.
Interfaces, methods and signatures are those of firewalld.dbus(5). A call takes 1 ms; `firewall-cmd`, which makes the
same calls, takes 110 ms to start, and of several entries says 0 when only one of them could be added.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from jeepney import DBusAddress, DBusErrorResponse, HeaderFields, Message, MessageFlag, MessageType, new_method_call
from jeepney.auth import AuthenticationError
from jeepney.bus import get_bus
from jeepney.io.blocking import DBusConnection, prep_socket

from agent.actions.tools.tool import LIMIT, Rest
from shared.errors import ActionError, ToolHangs

SYSTEM = "SYSTEM"  # the bus of the host, or what DBUS_SYSTEM_BUS_ADDRESS says
MAIN = "org.fedoraproject.FirewallD1"
ZONE, IPSET, POLICY, DIRECT = (f"{MAIN}.{each}" for each in ("zone", "ipset", "policy", "direct"))
CONFIG = f"{MAIN}.config"
CONFIG_ZONE, CONFIG_IPSET, CONFIG_POLICY, CONFIG_DIRECT = (
    f"{CONFIG}.{each}" for each in ("zone", "ipset", "policy", "direct")
)
PROPERTIES = "org.freedesktop.DBus.Properties"
RUNTIME_PATH, CONFIG_PATH = "/org/fedoraproject/FirewallD1", "/org/fedoraproject/FirewallD1/config"
ABSENT = {f"org.freedesktop.DBus.Error.{each}" for each in ("ServiceUnknown", "NameHasNoOwner")}
NOT_ALLOWED = {"org.freedesktop.DBus.Error.AccessDenied", f"{MAIN}.NotAuthorizedException"}
NOT_RUNNING = "firewalld: not running"
NO_BUS = (OSError, AuthenticationError, DBusErrorResponse)  # it was never there, has gone, or doesn't want us


class Bus(Protocol):
    """Asks firewalld."""

    def ask(
        self, interface: str, method: str, signature: str = "", *values: object, path: str = "", longer: float = 0.0
    ) -> Any:
        """What a method answers to `values`, None when that is nothing; `longer` are seconds beyond the usual limit.

        Raises ActionError with firewalld's words, which begin with its code (`ALREADY_ENABLED: …`), or with what is
        missing, and ToolHangs when it didn't answer, or did not a moment ago.
        """


class FirewalldBus:
    """The real one: one connection, opened when it is wanted. For one thread."""

    def __init__(
        self, address: str = SYSTEM, *, limit: float = LIMIT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address, self._limit, self._rest = address, limit, Rest(clock)
        self._open: DBusConnection | None = None

    def ask(
        self, interface: str, method: str, signature: str = "", *values: object, path: str = "", longer: float = 0.0
    ) -> Any:
        if (left := self._rest.left()) > 0:
            raise ToolHangs(f"firewalld hangs; it is asked again in {left:.0f} s")
        answer = self._answer(_question(interface, method, signature, values, path), self._limit + longer)
        self._rest.forget()
        if answer.header.message_type is MessageType.error:
            raise ActionError(_problem(answer))
        return answer.body[0] if answer.body else None

    def _answer(self, question: Message, limit: float) -> Message:
        try:
            connection = self._connection()
            connection.sock.settimeout(limit)  # of many entries a bus that hangs takes only the first
            return connection.send_and_get_reply(question, timeout=limit)
        except TimeoutError as error:
            self._close()
            self._rest.begin()
            raise ToolHangs(f"firewalld had not answered within {limit:g} s") from error
        except NO_BUS as error:
            self._close()
            why = error.strerror if isinstance(error, OSError) else error
            what = NOT_RUNNING if isinstance(error, FileNotFoundError) else "firewalld"
            raise ActionError(f"{what}: D-Bus can't be reached: {why}") from error

    def _connection(self) -> DBusConnection:
        if self._open is None:
            self._open = _Connection(prep_socket(get_bus(self._address)), self._limit)
        return self._open

    def _close(self) -> None:
        """Half of a question may have been sent; another one behind that would be taken for its end."""
        if self._open is not None:
            with suppress(OSError):
                self._open.close()
        self._open = None


class _Connection(DBusConnection):  # type: ignore[misc]  # jeepney tells no types
    """jeepney asks a first question as it is made, and would wait for ever for the answer."""

    def __init__(self, sock: socket.socket, limit: float) -> None:
        self._limit = limit
        super().__init__(sock)

    def send_and_get_reply(self, message: Message, *, timeout: float | None = None) -> Message:
        return super().send_and_get_reply(message, timeout=self._limit if timeout is None else timeout)


def _question(interface: str, method: str, signature: str, values: tuple[object, ...], path: str) -> Message:
    path = path or (CONFIG_PATH if interface.startswith(CONFIG) else RUNTIME_PATH)
    address = DBusAddress(path, bus_name=MAIN, interface=interface)
    question = new_method_call(address, method, signature or None, values)
    question.header.flags |= MessageFlag.no_auto_start
    return question


def _problem(answer: Message) -> str:
    name = answer.header.fields.get(HeaderFields.error_name, "")
    words = str(answer.body[0]) if answer.body else name
    if name in ABSENT:
        return NOT_RUNNING
    if name in NOT_ALLOWED:
        return f"firewalld: {words}; run the agent as root"
    return words
