"""A real HTTP server for webhooks: takes what is posted, and answers as it is told to, well or badly."""

import json
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_WR, create_connection, create_server, socket
from types import TracebackType
from typing import Any

PATH = "/services/T0SECRET/B0SECRET/verysecretindeed"
Answer = Callable[["_Handler"], None]


def says(status: int, body: str = "ok", **headers: str) -> Answer:
    """An ordinary answer."""

    def answer(handler: "_Handler") -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body.encode())

    return answer


def once(event: threading.Event) -> Answer:
    """A good answer, once `event` is set."""

    def answer(handler: "_Handler") -> None:
        event.wait(20.0)
        says(200)(handler)

    return answer


def hangs(handler: "_Handler") -> None:
    """Never answers."""
    handler.owner.over.wait(20.0)


def drips(handler: "_Handler") -> None:
    """A little now and then, for ever: no single wait is long."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.owner.over.wait(0.05):
        handler.wfile.write(b"X-More: and more\r\n")
        handler.wfile.flush()


def writes(*lines: str) -> Answer:
    """Whatever these are, and then nothing more: no end either."""

    def answer(handler: "_Handler") -> None:
        handler.wfile.write("\r\n".join(lines).encode())
        handler.owner.over.wait(20.0)

    return answer


def goes(handler: "_Handler") -> None:
    """Closes the connection without a word."""
    handler.close_connection = True


class WebhookServer:
    """Answers each request with the next of `answers`, and `ok` after the last."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: list[Answer] = []
        self.bodies: list[dict[str, Any]] = []
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self  # type: ignore[attr-defined]
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self._scheme = "https" if context else "http"

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        """With the secret."""
        return f"{self._scheme}://127.0.0.1:{self.port}{PATH}"

    def plan(self, *answers: Answer) -> None:
        self.answers = list(answers)

    def took(self, body: bytes) -> Answer:
        """Writes a request down; how it is to be answered."""
        with self._lock:
            self.bodies.append(json.loads(body))
            return self.answers.pop(0) if self.answers else says(200)

    def __enter__(self) -> "WebhookServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    @property
    def owner(self) -> WebhookServer:
        owner: WebhookServer = self.server.owner  # type: ignore[attr-defined]
        return owner

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            self.owner.took(body)(self)
        except OSError:  # who asked has gone
            return

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


class ConnectProxy:
    """An HTTP proxy that takes whoever asks for a tunnel, wherever to, to `port` of this machine."""

    def __init__(self, port: int, slow: float = 0.0) -> None:
        """It answers after `slow` seconds."""
        self.asked: list[str] = []  # request lines and headers
        self.allows = True
        self._slow, self._over = slow, threading.Event()
        self._port, self._listener = port, create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        """host:port"""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._over.set()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket) -> None:
        heard = b""
        while not heard.endswith(b"\r\n\r\n"):
            piece = client.recv(1)
            if not piece:  # who asked has gone
                client.close()
                return
            heard += piece
        self.asked.append(heard.decode())
        self._over.wait(self._slow)
        if not self.allows:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            client.close()
            return
        with client, suppress(OSError):  # who asked, or the server, may have gone meanwhile
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with create_connection(("127.0.0.1", self._port)) as server:
                back = threading.Thread(target=_pour, args=(server, client), daemon=True)
                back.start()
                _pour(client, server)
                back.join(5.0)


def _pour(one: socket, other: socket) -> None:
    with suppress(OSError):
        while piece := one.recv(65_536):
            other.sendall(piece)
        other.shutdown(SHUT_WR)


def fields(attachments: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """The fields of each attachment, by their titles."""
    return [{each["title"]: each["value"] for each in attachment["fields"]} for attachment in attachments]
