"""Listening to a manager that comes and goes: one word for each gap, however often it is tried to reach."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from manager.cli import listening
from manager.news import CutOff, Listening
from shared.errors import Unreachable

HELLO = msgspec.json.encode(Listening(at=1.0, version="1"))
OVER = msgspec.json.encode(CutOff(at=2.0, why="the manager stops"))
AWAY = None


class Streams:
    """A client whose calls find these, one after the other: the lines of a stream, or nobody."""

    def __init__(self, *found: list[bytes] | None) -> None:
        self._found = list(found)

    @contextmanager
    def listen(self, path: str, **_: str | None) -> Iterator[Iterator[bytes]]:
        lines = self._found.pop(0)
        if lines is AWAY:
            raise Unreachable("nobody answers")
        yield iter(lines)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(listening, "PAUSE", 0.0)
    return []


def test_one_word_for_a_gap_however_many_tries_it_takes(said: list[str]) -> None:
    """Lines of before and after are heard; what ends without a last word is a gap too."""
    streams = Streams([HELLO, OVER], AWAY, AWAY, AWAY, [HELLO], AWAY, [HELLO])
    heard = listening.listen(streams, said.append, follow=True)
    assert [next(heard)[0] for _ in range(4)] == [HELLO, OVER, HELLO, HELLO]
    assert len(said) == 2


def test_nobody_at_first_or_without_follow_is_an_error(said: list[str]) -> None:
    """Nothing is said and nothing tried again."""
    with pytest.raises(Unreachable):
        next(listening.listen(Streams(AWAY, [HELLO]), said.append, follow=True))
    assert [line for line, _ in listening.listen(Streams([HELLO, OVER], AWAY), said.append, follow=False)] == [
        HELLO,
        OVER,
    ]
    assert said == []
