"""The bus on which firewalld is asked, when it is none: a socket that speaks D-Bus's first words and no more."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from jeepney import HeaderFields, Parser, new_error

from agent.actions.firewalld_drop.firewalld_bus import MAIN, FirewalldBus
from shared.errors import ActionError, ToolHangs

LIMIT = 1.0  # s


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX)) as one:
        one.bind(str(tmp_path / "bus"))
        one.listen()
        yield one


def test_a_bus_that_hangs_holds_nobody_up(listening: socket.socket) -> None:
    """Also one that lets in whoever comes, and then says nothing more."""
    bus = _met_by(listening, lambda *_: None)  # what comes is read, and never answered
    with pytest.raises(ToolHangs, match="had not answered within 1 s"):
        bus.ask(MAIN, "reload")
    with pytest.raises(ToolHangs, match="hangs; it is asked again in 30 s"):
        bus.ask(MAIN, "reload")


def test_a_bus_that_is_full_says_so(listening: socket.socket) -> None:
    """Nobody's daemon ends because of it."""

    def refuse(peer: socket.socket, heard: bytes) -> None:
        parser = Parser()
        parser.add_data(heard)
        while (hello := parser.get_next_message()) is None:
            parser.add_data(peer.recv(4_096))
        answer = new_error(hello, "org.freedesktop.DBus.Error.LimitsExceeded", "s", ("too many connections",))
        answer.header.fields[HeaderFields.sender] = "org.freedesktop.DBus"
        peer.sendall(answer.serialise(serial=1))

    with pytest.raises(ActionError, match=r"^firewalld: D-Bus can't be reached: .*LimitsExceeded.*too many"):
        _met_by(listening, refuse).ask(MAIN, "reload")


def _met_by(listening: socket.socket, then: Callable[[socket.socket, bytes], None]) -> FirewalldBus:
    """A bus at which whoever comes is let in, and met so."""

    def serve() -> None:
        peer, _ = listening.accept()
        heard = b""
        while b"BEGIN\r\n" not in heard:
            heard = peer.recv(4_096)
            if b"AUTH" in heard:
                peer.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
            elif b"NEGOTIATE" in heard:
                peer.sendall(b"ERROR\r\n")
        then(peer, heard.partition(b"BEGIN\r\n")[2])
        while peer.recv(4_096):
            pass

    threading.Thread(target=serve, daemon=True).start()
    return FirewalldBus(f"unix:path={listening.getsockname()}", limit=LIMIT, clock=lambda: 100.0)
