"""The API's server, in the daemon's own loop: it takes no signals, and its port is bound before anything starts."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import structlog
import uvicorn
from starlette.applications import Starlette

from shared.errors import SettingsError
from shared.settings import listen_address

AT_ONCE = 100  # connections and requests
GRACE = 2  # s for requests that are being answered when the daemon stops

log = structlog.get_logger()


def bind(listen: str) -> socket.socket:
    """A socket that listens on `host:port`. Raises SettingsError when that is impossible."""
    host, port = listen_address(listen, "api.listen")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, port), family=family, backlog=AT_ONCE)
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
                http="h11",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
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


class _Server(uvicorn.Server):
    """Signals are the daemon's own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
