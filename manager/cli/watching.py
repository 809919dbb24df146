"""The live view of orders: what the ledger lists, read again when something happens, over the latest changes.

States are never worked out here: each look is the ledger's. What is heard only says when to look, and what to tell.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, Queue
from threading import Thread
from typing import Protocol

from msgspec import Struct
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from manager.api.bodies.orders import Orders
from manager.cli.listening import listen
from manager.cli.shows.orders import COLUMNS, counted_by_state, order_row
from manager.client import Client
from manager.ledger.views import OrderView
from manager.news import AnswerNews, AnyNews, ExpiryNews, OrderNews, OverNews, Told
from shared.command_line import SHORT
from shared.errors import ThwartError, Unreachable
from shared.tables import STYLES, plain

SOON = 0.2  # s between two looks, however much happens
SELDOM = 5.0  # s after which it looks anyway: that an answer is overdue is no event
CHANGES = 8  # of the latest that stay in view
NARROW = 100  # columns below which only what matters most is shown
MATTERS = ("TARGET", "STATE", "AGE", "ORDER")

Heard = AnyNews | str | ThwartError | None  # news, a word about the stream, why it ended; None: nothing happened


class Screen(Protocol):
    """Where it is shown."""

    def changed(self, line: Text) -> None:
        """Something happened."""

    def looked(self, orders: Sequence[OrderView]) -> None:
        """How all stands now."""


class Filter(Struct, frozen=True, kw_only=True):
    """What to watch."""

    target: str | None = None
    agent: str | None = None
    limit: int


def watch(client: Client, ears: Client, screen: Screen, wanted: Filter) -> None:
    """Goes on until it is interrupted. Raises ApiError; Unreachable when nobody answers at first."""
    screen.looked(_look(client, wanted))
    heard: Queue[Heard] = Queue()
    Thread(target=_hear, args=(ears, wanted, heard.put), daemon=True).start()
    looked_at, due = time.monotonic(), False
    while True:
        for each in _all_of(heard, within=SOON if due else SELDOM):
            if isinstance(each, ThwartError):
                raise each
            due = due or not isinstance(each, str)
            line = Text(each, style="yellow") if isinstance(each, str) else _line(each)
            if line is not None:
                screen.changed(line)
        now = time.monotonic()
        if now - looked_at >= (SOON if due else SELDOM):
            looked_at, due = now, not _looked(client, screen, wanted)


def _hear(ears: Client, wanted: Filter, put: Callable[[Heard], None]) -> None:
    try:
        for _, news in listen(ears, put, follow=True, agent=wanted.agent, target=wanted.target):
            put(news)
    except ThwartError as error:
        put(error)


def _all_of(heard: "Queue[Heard]", within: float) -> list[Heard]:
    """Everything that is there, waiting for the first."""
    some: list[Heard] = []
    with suppress(Empty):
        some.append(heard.get(timeout=within))
        while True:
            some.append(heard.get_nowait())
    return some


def _looked(client: Client, screen: Screen, wanted: Filter) -> bool:
    """False when nobody answered, which the listener has a word for."""
    try:
        screen.looked(_look(client, wanted))
    except Unreachable:
        return False
    return True


def _look(client: Client, wanted: Filter) -> tuple[OrderView, ...]:
    query = {"target": wanted.target, "agent": wanted.agent, "limit": wanted.limit}
    return client.get("/v1/orders", Orders, **query).orders


def _line(news: AnyNews | None) -> Text | None:
    """What happened to an order, in a line; None for what is said about the stream."""
    if not isinstance(news, Told):
        return None
    at = time.strftime("%H:%M:%S", time.localtime(news.at))
    word, rest = _words(news)
    return Text.assemble((f"{at} ", "dim"), (word, STYLES.get(word, "bold")), f" {plain(rest)}")


def _words(news: Told) -> tuple[str, str]:
    match news:
        case OrderNews(order=order):
            what = "lift " if order.operation == "delete" else ""
            return ("on-hold" if news.on_hold else "order"), f"{order.id[:SHORT]} {what}{order.action} {order.target}"
        case AnswerNews(said=said):
            took = "" if news.seconds is None else f" after {news.seconds:.2f} s"
            return said.status, f"{news.order_id[:SHORT]} {news.target} on {news.agent_id}{took} {said.detail}".rstrip()
        case ExpiryNews(said=said):
            return "ended", f"{news.order_id[:SHORT]} {news.target} on {news.agent_id} {said.outcome} ({said.cause})"
        case OverNews():
            states = ", ".join(f"{count} {state}" for state, count in news.agents.items())
            return "over", f"{news.order_id[:SHORT]} {news.target} {states}"


def on_terminal(client: Client, ears: Client, wanted: Filter) -> None:
    """`watch` on the whole terminal, which is as it was when this ends."""
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        board = Board(lambda drawn: live.update(drawn, refresh=True), lambda: (console.width, console.height))
        watch(client, ears, board, wanted)


class Lines:
    """Not a terminal: a line for each thing that happens, and one with the counts when they have changed."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._counts = say, ""

    def changed(self, line: Text) -> None:
        self._say(line.plain)

    def looked(self, orders: Sequence[OrderView]) -> None:
        counts = ", ".join(f"{count} {state}" for state, count in counted_by_state(orders).items()) or "no orders"
        if counts != self._counts:
            self._say(counts)
            self._counts = counts


class Board:
    """A terminal: counts by state, the newest orders, the latest changes; `size` gives width and height each time."""

    def __init__(self, show: Callable[[RenderableType], None], size: Callable[[], tuple[int, int]]) -> None:
        self._show, self._size = show, size
        self._orders: Sequence[OrderView] = ()
        self._changes: deque[Text] = deque(maxlen=CHANGES)

    def changed(self, line: Text) -> None:
        self._changes.append(line)
        self._show(self._drawn())

    def looked(self, orders: Sequence[OrderView]) -> None:
        self._orders = orders
        self._show(self._drawn())

    def _drawn(self) -> RenderableType:
        width, height = self._size()
        room = max(1, height - len(self._changes) - 5)
        return Group(self._counts(), Text(), self._table(width, room), Text(), *map(_in_one_line, self._changes))

    def _counts(self) -> Text:
        counts = counted_by_state(self._orders)
        parts = [(f"{count} {state}  ", STYLES.get(state, "")) for state, count in counts.items()]
        return _in_one_line(Text.assemble(*parts) if parts else Text("no orders yet"))

    def _table(self, width: int, room: int) -> Table:
        names = MATTERS if width < NARROW else COLUMNS
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for name in names:
            table.add_column(name, no_wrap=True, overflow="ellipsis")
        for view in self._orders[:room]:
            cells = dict(zip(COLUMNS, order_row(view), strict=True))
            table.add_row(*(Text(plain(cells[name]), style=STYLES.get(cells[name], "")) for name in names))
        return table


def _in_one_line(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
