"""Whatever bytes a log holds become lines with true offsets, none longer than 64 KiB."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.lines import MARK, MAX_BATCH, MAX_LINE, cut, unfinished
from agent.logs.opened import CHUNK

BYTES = st.lists(st.sampled_from([b"\n", b"a", b"\0", b"\xff", "é".encode(), b"\r\n", b"x" * 20_000])).map(b"".join)


def texts(data: bytes) -> list[str]:
    return [line.text for line in cut(data, 0, within_line=False).lines]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\nhalf", ["one"]),
        (b"\n\n", ["", ""]),
        (b"dos\r\n", ["dos"]),
        (b"nul\0in it\n", ["nul\0in it"]),
        (b"caf\xc3\xa9 \xff\xfe\n", ["café \\xff\\xfe"]),
        (b"surrogate \xed\xa0\x80\n", ["surrogate \\xed\\xa0\\x80"]),
    ],
)
def test_lines_end_at_newlines_and_are_text(data: bytes, lines: list[str]) -> None:
    """Invalid UTF-8 is escaped, NULs are like any other character, half a line waits."""
    assert texts(data) == lines


def test_a_line_of_64_kib_is_whole_and_a_longer_one_is_cut_and_marked() -> None:
    """The limit is a line's size; what is over it is skipped up to the newline, with true offsets after it."""
    whole, longer = b"a" * MAX_LINE, b"b" * (MAX_LINE + 1)
    found = cut(whole + b"\n" + longer + b"\nnext\n", 100, within_line=False)
    assert [line.offset for line in found.lines] == [100, 100 + MAX_LINE + 1, 100 + 2 * MAX_LINE + 3]
    assert found.lines[0].text == "a" * MAX_LINE
    assert found.lines[1].text == "b" * (MAX_LINE - len(MARK)) + MARK
    assert found.lines[2].text == "next"


def test_a_line_without_end_is_shipped_once_and_the_rest_of_it_skipped() -> None:
    """A line that never ends holds up nothing: what follows its newline is read, however far that is."""
    first = cut(b"x" * CHUNK, 0, within_line=False)
    assert len(first.lines) == 1 and first.next == CHUNK
    more = cut(b"x" * CHUNK, first.next, within_line=True)
    assert not more.lines and more.next == 2 * CHUNK
    last = cut(b"x\nnext\n", more.next, within_line=True)
    assert [(line.text, line.offset) for line in last.lines] == [("next", 2 * CHUNK + 2)]


def test_escapes_count_for_the_limit() -> None:
    """64 KiB of invalid bytes would be 256 KiB of escapes; they are cut as well."""
    (line,) = cut(b"\xff" * MAX_LINE + b"\n", 0, within_line=False).lines
    assert len(line.text) == MAX_LINE and line.text.endswith(MARK)


def test_the_end_of_a_file_that_is_done_is_a_line() -> None:
    """What a writer that died left without its newline is not lost."""
    (line,) = unfinished(b"half", 7).lines
    assert (line.text, line.offset) == ("half", 7)


@given(BYTES)
def test_any_bytes_are_gone_through_to_their_last_newline(data: bytes) -> None:
    """Piece after piece, nothing is left out, nothing comes twice, and no batch is over its limit."""
    at, within, offsets = 0, False, []
    while True:
        found = cut(data[at : at + CHUNK], at, within_line=within)
        if found.next == at:
            break
        assert sum(len(line.text.encode()) for line in found.lines) < MAX_BATCH
        assert all(len(line.text.encode()) <= MAX_LINE for line in found.lines)
        offsets += [line.offset for line in found.lines]
        at, within = found.next, not data[: found.next].endswith(b"\n")
    starts = [0, *(found.end() for found in re.finditer(b"\n", data))]
    rest = len(data) - starts[-1]
    assert offsets == starts[: len(starts) if rest > MAX_LINE else -1]
