"""The API's server, in the daemon's own loop: it takes no signals, and its port is bound before anything starts."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import structlog
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.errors import SettingsError
from shared.settings import listen_address

AT_ONCE = 100  # connections and requests that are answered; above it 503
MOST = 200  # connections that are taken: no caller may use up the files that broker and ledger need
PATIENCE = 10.0  # s for a request to come in and be answered, without which its connection is cut
STALLED = 6  # times PATIENCE that a stream may find its reader not reading; then nobody is there any more
GRACE = 2  # s for requests that are being answered when the daemon stops

log = structlog.get_logger()


def bind(listen: str) -> socket.socket:
    """A socket that listens on `host:port`. Raises SettingsError when that is impossible."""
    host, port = listen_address(listen, "api.listen")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, port), family=family, backlog=AT_ONCE)
        # an answer goes out in two parts, and without this the second waits 40 ms until the first is acknowledged
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise SettingsError(f"api.listen: can't listen on {listen}: {error.strerror or error}") from error
    if not ip_address(bound.getsockname()[0]).is_loopback:
        log.warning("the API can be reached from other hosts, and tokens travel unencrypted", action="api_open")
    return bound


class ApiServer:
    """Serves `app` on a bound socket until cancelled."""

    def __init__(self, app: Starlette, bound: socket.socket) -> None:
        self._bound = bound
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Protocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=AT_ONCE,  # also how many are let in in one go, before any is looked at
                limit_concurrency=AT_ONCE,
                timeout_graceful_shutdown=GRACE,
            )
        )

    async def run(self) -> None:
        host, port = self._bound.getsockname()[:2]
        log.info("the API listens", action="api_listens", host=host, port=port)
        serving = asyncio.create_task(self._server.serve(sockets=[self._bound]))
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = True
            await serving


class _Protocol(H11Protocol):
    """HTTP, as long as it gets on: uvicorn itself waits for ever for a request that never ends, or never begins."""

    _cut: asyncio.TimerHandle | None = None
    _stalled = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.abort()
        self._wait_again()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_again()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_again(self) -> None:
        self._stop_waiting()
        self._cut = self.loop.call_later(PATIENCE, self._run_out)

    def _run_out(self) -> None:
        """A stream may go on for as long as its reader takes what is sent, and longer: its last line may be waiting."""
        streams = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        self._stalled = self._stalled + 1 if self.flow.write_paused else 0
        if streams and self._stalled < STALLED:
            self._wait_again()
        else:
            self.transport.abort()

    def _stop_waiting(self) -> None:
        if self._cut is not None:
            self._cut.cancel()


class _Server(uvicorn.Server):
    """Signals are the daemon's own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
