"""Who listens hears what it asked for and in order; who is too slow is told so, and nobody waits for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import httpx
import pytest
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.routing import Route

from manager import broadcast
from manager.api import server
from manager.api.events import EventRoutes
from manager.api.server import ApiServer, bind
from manager.approvals import Decided
from manager.broadcast import Broadcast
from manager.chronicle import Chronicle
from manager.metrics import Metrics
from manager.news import CutOff, Interest, Listening, OrderNews, OverNews
from manager.panic import Everything
from tests.unit.a_manager import ATTACKER, StoppedClock, a_manager
from tests.waiting import eventually

COUNTED = {"operation": "delete", "location": "all", "origin": "person"}


def over(order_id: str, target: str = ATTACKER) -> OverNews:
    return OverNews(at=1.0, order_id=order_id, action="firewall-drop", target=target, agents={"web1": 1})


@pytest.fixture
async def served() -> AsyncIterator[tuple[Broadcast, str]]:
    """A broadcast, and where it can be listened to."""
    bound, one = bind("127.0.0.1:0"), Broadcast(StoppedClock())

    async def listen(request):
        return await EventRoutes(one).listen(request, "ann")

    serving = asyncio.create_task(ApiServer(Starlette(routes=[Route("/v1/events", listen)]), bound).run())
    yield one, f"http://127.0.0.1:{bound.getsockname()[1]}/v1/events"
    one.close()
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


async def test_what_is_told_is_heard_in_order_by_whom_it_concerns():
    """An interest covers the beginning of an id, and a target; the first word and the last are about the stream."""
    one = Broadcast(StoppedClock())
    with one.listening(Interest(order="ab", target=ATTACKER)) as listener:
        for order_id, target in (("abc", ATTACKER), ("abd", "203.0.113.8"), ("cab", ATTACKER), ("abe", ATTACKER)):
            one.tell(lambda _, order_id=order_id, target=target: over(order_id, target))
        one.close()
        heard = [news async for some in listener.news() for news in some]
    assert isinstance(heard[0], Listening) and isinstance(heard[-1], CutOff)
    assert [news.order_id for news in heard[1:-1]] == ["abc", "abe"]
    assert not one.heard


async def test_who_listens_is_told_which_version_runs(upgraded: str):
    """And not which one is on the disk."""
    with Broadcast(StoppedClock()).listening(Interest()) as listener:
        listener.end("enough")
        heard = [news async for some in listener.news() for news in some]
    assert heard[0].version == upgraded


async def test_what_is_lifted_with_much_else_is_told_one_by_one(tmp_path):
    """Lifts of everything, and of what was turned down after it had been on its way, are orders like any other."""
    with a_manager(tmp_path / "ledger.db") as manager:
        await manager.hear("web1")
        await manager.block()
        await manager.block("r2", address="192.0.2.1")
        one, metrics = Broadcast(manager.clock), Metrics()
        chronicle = Chronicle(metrics, manager.clock, one)
        lifted = await manager.panic.lift_everything(Everything(request_id="e1"))
    first, second = lifted.deletes
    with one.listening(Interest()) as listener:
        chronicle.lifted(replace(lifted, deletes=(first,)), "ann")
        chronicle.turned_down(Decided(orders=(), objections=(), lifts=(second,), more=False, before=0.0), "ann")
        one.close()
        heard = [news.order.id async for some in listener.news() for news in some if isinstance(news, OrderNews)]
    assert heard == [first.id, second.id]
    assert metrics.registry.get_sample_value("thwart_orders_total", COUNTED) == 2.0


async def test_without_news_a_listener_is_told_that_there_are_none(monkeypatch):
    """So that it can tell a quiet manager from one that is gone."""
    monkeypatch.setattr(broadcast, "QUIET", 0.01)
    with Broadcast(StoppedClock()).listening(Interest()) as listener:
        async with aclosing(listener.news()) as news:
            assert isinstance((await anext(news))[0], Listening)
            assert await anext(news) == []


async def test_a_reader_that_keeps_up_leaves_others_their_turn():
    """However much there is to send at once, everything else goes on in between."""
    one, turns = Broadcast(StoppedClock()), 0

    async def listen() -> None:
        with one.listening(Interest()) as listener:
            async for _ in listener.news():
                pass

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    for number in range(broadcast.BEHIND):
        one.tell(lambda _, number=number: over(f"{number:x}"))
    one.close()
    while not listening.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= broadcast.BEHIND / broadcast.SOME


async def test_a_slow_reader_is_cut_off_with_a_last_line_that_says_so(served, monkeypatch):
    """Telling never waits: what a reader can't take in time it doesn't get, and is told that."""
    monkeypatch.setattr(broadcast, "BEHIND", 50)
    one, url = served
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port, limit=1024)
    writer.write(b"GET /v1/events HTTP/1.0\r\nHost: here\r\n\r\n")
    await eventually(lambda: one.heard)
    for number in range(20_000):  # more than sockets hold
        one.tell(lambda _, number=number: over(f"{number:x}" * 20))
        if number % 100 == 0:
            await asyncio.sleep(0)
    async with asyncio.timeout(10):
        lines = (await reader.read()).split(b"\n")
    writer.close()
    last = json.loads(next(line for line in reversed(lines) if line.strip()))
    assert last["type"] == "cut-off" and "too slow" in last["why"]
    assert len(lines) < 20_000


async def test_a_stream_outlasts_the_patience_with_requests(served, monkeypatch):
    """Who listens is no caller that doesn't get on, however long nothing happens."""
    monkeypatch.setattr(server, "PATIENCE", 0.1)
    monkeypatch.setattr(broadcast, "QUIET", 0.3)
    one, url = served
    async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", url) as response:
        pieces = response.aiter_bytes()
        assert json.loads(await anext(pieces))["type"] == "listening"
        assert await anext(pieces) == b"\n"
        one.tell(lambda _: over("abc"))
        assert json.loads(await anext(pieces))["order_id"] == "abc"


async def test_only_so_many_listen_at_once(served, monkeypatch):
    """Each is a connection that others could need: one more is refused with a sentence."""
    monkeypatch.setattr("manager.broadcast.MOST", 0)
    _, url = served
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(url)
    assert answer.status_code == 503
