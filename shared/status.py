"""A small HTTP server in threads of its own: `/metrics`, `/live` and `/ready` are answered while the loop hangs.

`/live` and `/ready` answer 200, or 503 with `{"live": false, "why": ["a sentence"]}`; nobody needs a token for them.
"""

from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from socket import socket
from socketserver import TCPServer, ThreadingMixIn
from threading import BoundedSemaphore, Thread
from typing import Any

import msgspec
from msgspec import Struct

from shared.health import Health, State
from shared.metrics import CONTENT_TYPE

PATIENCE = 10.0  # s for a request to come
MOST = 32  # requests at once: each is a thread and an open file, and anybody on the host may ask


class Reply(Struct, frozen=True, kw_only=True):
    """What a path answers."""

    status: int
    kind: str
    body: bytes


class Live(Struct, frozen=True, kw_only=True):
    """GET /live."""

    live: bool
    why: tuple[str, ...]


class Ready(Struct, frozen=True, kw_only=True):
    """GET /ready."""

    ready: bool
    why: tuple[str, ...]


def live(state: State) -> Reply:
    """What `/live` answers."""
    return _said(state.live, Live(live=state.live, why=state.dead))


def ready(state: State) -> Reply:
    """What `/ready` answers."""
    return _said(state.ready, Ready(ready=state.ready, why=(*state.dead, *state.unready)))


def serve(listener: socket, health: Health, figures: Callable[[], bytes]) -> None:
    """Serves on a bound socket until the process ends."""
    pages = {
        "/metrics": lambda: Reply(status=200, kind=CONTENT_TYPE, body=figures()),
        "/live": lambda: live(health.look()),
        "/ready": lambda: ready(health.look()),
    }
    Thread(target=_Server(listener, _handler(pages)).serve_forever, name="status", daemon=True).start()


def _said(well: bool, answer: Live | Ready) -> Reply:
    return Reply(status=200 if well else 503, kind="application/json", body=msgspec.json.encode(answer))


def _handler(pages: Mapping[str, Callable[[], Reply]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            reply = page() if page else Reply(status=404, kind="text/plain", body=b"try /metrics, /live or /ready\n")
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: every scrape would be a line."""

    return Handler


class _Server(ThreadingMixIn, TCPServer):
    """One thread for each request, up to so many; who comes then is hung up on.

    Not HTTPServer, which asks the resolver for its own name and may wait for it.
    """

    daemon_threads = True

    def __init__(self, listener: socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("", 0), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._room = BoundedSemaphore(MOST)
        self.server_activate()

    def process_request(self, request: Any, client_address: Any) -> None:
        """In the thread that accepts."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread is to be had
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In the request's own."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: whoever asked has hung up."""
