"""Log files read whole: true offsets, true times, and a sentence for what can't be read."""

import gzip
import os
from datetime import datetime

import pytest

from manager.offline import files
from manager.offline.files import merged, open_logs
from shared.errors import UnreadableLog

LAST_CHANGE = datetime(2026, 3, 1).timestamp()  # noqa: DTZ001 (a log's time is local)


def written(path, body: bytes, changed_at: float = LAST_CHANGE) -> str:
    path.write_bytes(body)
    os.utime(path, (changed_at, changed_at))
    return str(path)


def read(*names: str, year: int | None = None):
    return list(merged(open_logs(names), year))


def dates(lines) -> list[str]:
    return [datetime.fromtimestamp(line.at).isoformat(" ", "seconds") for line in lines]  # noqa: DTZ006


def test_offsets_are_of_bytes(tmp_path):
    """A line's offset is that of its first byte, whatever characters and line ends come before it."""
    body = "é\nüü\r\n\n".encode() + b"\xff\xfe\nlast"
    lines = read(written(tmp_path / "log", body))
    assert [line.text for line in lines] == ["é", "üü", "", "\\xff\\xfe", "last"]
    assert [line.offset for line in lines] == [0, 3, 9, 10, 13]


def test_a_compressed_log_reads_like_its_text(tmp_path):
    """A gzip file, whatever its name, gives the lines and offsets of the text in it."""
    body = b"Mar  1 00:00:01 h p: one\nMar  1 00:00:02 h p: two\n"
    plain = read(written(tmp_path / "log", body))
    packed = read(written(tmp_path / "log.1", gzip.compress(body)))
    assert [(line.at, line.offset, line.text) for line in packed] == [
        (each.at, each.offset, each.text) for each in plain
    ]


def test_an_endless_line_is_cut(tmp_path, monkeypatch):
    """Of a line without an end only the beginning is kept, marked as such, and the next one is where it is."""
    monkeypatch.setattr(files, "MAX_LINE", 10)
    lines = read(written(tmp_path / "log", b"0123456789" * 5 + b"x\nnext\n"))
    assert [(line.offset, line.text) for line in lines] == [(0, "0123456789 [cut]"), (52, "next")]


def test_the_year_is_the_last_that_fits(tmp_path):
    """Lines that name no year are not from later than their file's last change, a day for clocks aside."""
    assert dates(read(written(tmp_path / "log", b"Feb 28 12:00:00 h p: x\n"))) == ["2026-02-28 12:00:00"]
    assert dates(read(written(tmp_path / "log", b"Mar  1 12:00:00 h p: x\n"))) == ["2026-03-01 12:00:00"]
    assert dates(read(written(tmp_path / "log", b"Mar 10 12:00:00 h p: x\n"))) == ["2025-03-10 12:00:00"]


def test_a_log_goes_over_new_year(tmp_path):
    """With or without a year given for its beginning, a log that goes into January goes into the next year."""
    body = b"Nov 30 12:00:00 h p: x\nDec 31 23:59:59 h p: x\nJan  1 00:00:00 h p: x\n"
    name = written(tmp_path / "log", body)
    assert dates(read(name))[1:] == ["2025-12-31 23:59:59", "2026-01-01 00:00:00"]
    assert dates(read(name, year=2016))[1:] == ["2016-12-31 23:59:59", "2017-01-01 00:00:00"]


def test_a_line_without_a_time_has_that_of_the_line_before(tmp_path):
    """What has no stamp belongs to what was said just before."""
    body = b"2026-01-02T03:04:05 h p: x\n  more of it\nNon 99 99:99:99 h p: x\n"
    assert dates(read(written(tmp_path / "log", body))) == ["2026-01-02 03:04:05"] * 3


def test_several_logs_are_read_by_time(tmp_path):
    """Lines of several files come in the order of their time, whatever the order of the files."""
    late = written(tmp_path / "b", b"Mar  1 00:00:02 h p: 2\nMar  1 00:00:04 h p: 4\n")
    early = written(tmp_path / "a", b"Mar  1 00:00:01 h p: 1\nMar  1 00:00:03 h p: 3\n")
    lines = read(late, early)
    assert [line.text[-1] for line in lines] == ["1", "2", "3", "4"]
    assert [line.source for line in lines] == [early, late, early, late]


def test_what_can_not_be_read_is_named(tmp_path):
    """A missing file, a folder, and gzip data that ends too soon are each said in a sentence that names the file."""
    with pytest.raises(UnreadableLog, match="gone: can't be read: No such file"):
        read(str(tmp_path / "gone"))
    with pytest.raises(UnreadableLog, match="is a folder; name the log files in it"):
        read(str(tmp_path))
    with pytest.raises(UnreadableLog, match="damaged gzip data"):
        read(written(tmp_path / "log.gz", gzip.compress(b"line\n" * 100)[:-12]))
