"""A network between a program and its broker: connections that are cut, that hang, and whose bytes arrive very late."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 16  # bytes
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close without a word, at once


class Proxy:
    """Passes everything on to the broker at `url`, from the moment it is made until `close`."""

    def __init__(self, url: str) -> None:
        there = urlsplit(url)
        assert there.hostname and there.port
        self._there = there.hostname, there.port
        self._connections: list[_Connection] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._do(self._listen())
        port = self._server.sockets[0].getsockname()[1]
        self.url = url.replace(f"{there.hostname}:{there.port}", f"{LOOPBACK}:{port}")

    def cut(self) -> None:
        """Every connection breaks, on both sides: RST, in the middle of whatever was on its way."""
        self._do(self._each(_Connection.reset))

    def hold(self) -> None:
        """Nothing passes on the connections that stand, and neither side hears why. New ones are as always."""
        self._do(self._each(_Connection.hold))

    def holds(self, text: str) -> bool:
        """True when something with `text` in it is held."""
        return any(text.encode() in way.held for connection in self._connections for way in connection.ways)

    def abandon(self) -> None:
        """The program loses its connections; the broker hears nothing of that, and what was held is still to come."""
        self._do(self._each(_Connection.abandon))

    def let_go(self) -> None:
        """What was held arrives at last."""
        self._do(self._each(_Connection.let_go))

    def close(self) -> None:
        """Ends everything."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(5)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, LOOPBACK, 0)

    async def _end(self) -> None:
        self._server.close()
        await self._each(_Connection.reset)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _each(self, change: Any) -> None:
        for connection in self._connections:
            change(connection)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, there = await asyncio.open_connection(*self._there)
        except OSError:  # as without a proxy: nobody listens
            _reset(writer)
            return
        connection = _Connection(writer, there, _Way(reader, there), _Way(answers, writer))
        self._connections.append(connection)
        await connection.run()
        self._connections.remove(connection)


class _Way:
    """One direction of a connection. Belongs to the loop."""

    def __init__(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self._source, self._sink = source, sink
        self.passing = asyncio.Event()
        self.passing.set()
        self.held = b""

    async def run(self) -> None:
        with suppress(OSError):
            while data := await self._source.read(CHUNK):
                self.held += data
                await self._pass_on()
        await self.passing.wait()
        with suppress(OSError):
            await self._pass_on()
            self._sink.close()

    def let_go(self) -> None:
        self.passing.set()
        self._sink.write(self.held)
        self.held = b""

    async def _pass_on(self) -> None:
        if self.passing.is_set():
            self.let_go()
            await self._sink.drain()


class _Connection:
    """Both ways, and the ends: the program's and the broker's."""

    def __init__(self, here: asyncio.StreamWriter, there: asyncio.StreamWriter, *ways: _Way) -> None:
        self.here, self.there, self.ways = here, there, ways

    async def run(self) -> None:
        await asyncio.gather(*(way.run() for way in self.ways))

    def hold(self) -> None:
        for way in self.ways:
            way.passing.clear()

    def let_go(self) -> None:
        for way in self.ways:
            way.let_go()

    def abandon(self) -> None:
        if not all(way.passing.is_set() for way in self.ways):
            _reset(self.here)

    def reset(self) -> None:
        for way in self.ways:
            way.passing.set()
        for end in (self.here, self.there):
            _reset(end)


def _reset(writer: asyncio.StreamWriter) -> None:
    if not writer.transport.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
