"""Listens to what happens, and again when the manager was away: for `thwart events` and `thwart orders watch`."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import msgspec
import tenacity

from manager.client import Client
from manager.news import AnyNews, CutOff
from shared.errors import ApiError, Unreachable

PAUSE = 1.0  # s between two tries to reach a manager that is away
Line = tuple[bytes, AnyNews | None]  # as it came, and what it says; None when nothing happened


def listen(client: Client, say: Callable[[str], None], *, follow: bool, **query: str | None) -> Iterator[Line]:
    """Every line; with `follow` from a manager that comes back, too. `say` gets a word about each gap.

    Raises ApiError; Unreachable when nobody answers at first, or without `follow` when the stream breaks off.
    """
    first = True
    while True:
        try:
            with ExitStack() as open_ones:
                yield from _lines(_opened(client, open_ones, query, again=not first))
                if not follow:
                    return
        except Unreachable:
            if first or not follow:
                raise
        finally:
            first = False
        say("the manager is away: what happens meanwhile isn't heard here; listening again as soon as it answers")

        time.sleep(PAUSE)  # one that is stopping may answer yet


def _opened(client: Client, open_ones: ExitStack, query: dict[str, str | None], *, again: bool) -> Iterator[bytes]:
    """The stream's lines. Whoever was heard before is waited for, however long that takes."""
    attempts = tenacity.Retrying(
        stop=tenacity.stop_never if again else tenacity.stop_after_attempt(1),
        wait=tenacity.wait_fixed(PAUSE),
        retry=tenacity.retry_if_exception_type(Unreachable),
        reraise=True,
    )
    lines: Iterator[bytes] = attempts(lambda: open_ones.enter_context(client.listen("/v1/events", **query)))
    return lines


def _lines(lines: Iterator[bytes]) -> Iterator[Line]:
    """Until the stream is over, which its last line says."""
    for line in lines:
        news = _read(line) if line else None
        yield line, news
        if isinstance(news, CutOff):
            return


def _read(line: bytes) -> AnyNews:
    try:
        news: AnyNews = msgspec.json.decode(line, type=AnyNews)
    except msgspec.DecodeError as error:
        raise ApiError(f"what is heard is not what a manager says: {error}; is it this version's?") from error
    return news
