"""The API's server with callers that don't behave: they use up neither its files nor its patience."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from manager.api import server
from manager.api.server import ApiServer, bind
from tests.waiting import eventually

HALF = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\nhalf"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a server that answers `fine`."""
    bound = bind("127.0.0.1:0")
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("fine"))])
    serving = asyncio.create_task(ApiServer(app, bound).run())
    yield bound.getsockname()[1]
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


def test_an_answer_waits_for_no_acknowledgement():
    """What is written to a caller goes out at once: otherwise the second part of each answer is 40 ms late."""
    with bind("127.0.0.1:0") as bound, socket.create_connection(bound.getsockname()):
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHo", HALF])
async def test_who_never_finishes_a_request_is_cut_off(port, monkeypatch, said):
    """A connection on which nothing gets done ends, whether it says nothing, half a head or half a body."""
    monkeypatch.setattr(server, "PATIENCE", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    async with asyncio.timeout(5):
        with suppress(ConnectionError):
            await reader.read()
    writer.close()


async def test_who_gets_on_is_not_cut_off(port, monkeypatch):
    """Time counts from one answer to the next, so a caller may keep its connection."""
    monkeypatch.setattr(server, "PATIENCE", 0.3)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        began = asyncio.get_running_loop().time()

        async def long_enough() -> bool:
            assert (await client.get("/")).text == "fine"
            return asyncio.get_running_loop().time() - began > 1

        await eventually(long_enough)


async def test_idle_connections_leave_files_for_others(port, monkeypatch):
    """More connections than the server takes are closed at once, and it answers again when the idle ones are cut."""
    monkeypatch.setattr(server, "PATIENCE", 0.5)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(server.MOST + 50)]
    await eventually(lambda: idle[-1][0].at_eof() or idle[-1][0].exception())
    assert not idle[0][0].at_eof()

    async def answers() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            with suppress(httpx.HTTPError):
                return (await client.get(f"http://127.0.0.1:{port}/")).text == "fine"
            return False

    await eventually(answers)
    for _, writer in idle:
        writer.close()
