"""What the journal holds becomes a line that rules read as they read a file's, whatever is in it."""

import json

import pytest

from agent.logs.entries import entry
from agent.logs.lines import MARK, MAX_LINE
from manager.correlation.events import Event, LogLine
from shared.instants import instant

SEQUENCE = "9f0178cd1fbb4f1eaa99f560cd3c7d1e"
CURSOR = f"s={SEQUENCE};i=1f;b={'0' * 32};m=8b066f0913;t=6611607ce3913;x=895cd5e6a3381dbd"
FIELDS = {
    "__CURSOR": CURSOR,
    "__REALTIME_TIMESTAMP": "1795597108394259",
    "_HOSTNAME": "web1",
    "SYSLOG_IDENTIFIER": "sshd",
    "_PID": "42",
    "MESSAGE": "Failed password for root",
}


def text(**fields: object) -> str:
    line = entry(json.dumps({**FIELDS, **fields}).encode()).text
    assert line is not None
    return line


def test_an_entry_is_a_syslog_line_with_the_journals_own_instant() -> None:
    """Program, pid, host and message are where rules look for them; the number grows with the journal."""
    found = entry(json.dumps(FIELDS).encode())
    assert (found.sequence, found.number) == (SEQUENCE, 31)
    assert found.text == "2026-11-25T08:58:28.394259+00:00 web1 sshd[42]: Failed password for root"
    assert instant(found.text, 0.0) == pytest.approx(1795597108.394259, abs=1e-6)
    event = Event(LogLine(agent_id="a", source="s", file="f", offset=1, at=0.0, text=found.text))
    assert (event.host, event.program, event.pid, event.message) == ("web1", "sshd", "42", "Failed password for root")


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("one\nFailed password", "one#012Failed password"),
        ("\x1b[31mred\x00\t", "#033[31mred#000#011"),
        ([255, 98, 97, 100, 10], "\\xffbad#012"),
        (["first", "second"], "first"),
        ([[102, 111], "second"], "fo"),
    ],
)
def test_a_message_stays_one_line(message: object, wanted: str) -> None:
    """Newlines, control characters, bytes that are no text and repeated fields can't make a second line."""
    assert text(MESSAGE=message).endswith(f"]: {wanted}")


def test_a_huge_message_is_cut_and_marked() -> None:
    """As a file's line would be; what is escaped counts as it is sent."""
    for message in ("x" * 10 * MAX_LINE, "\n" * MAX_LINE, [255] * MAX_LINE):
        line = text(MESSAGE=message)
        assert line.endswith(MARK)
        assert len(line.encode()) <= MAX_LINE


def test_names_cannot_end_a_header() -> None:
    """A program that calls itself `sshd[1]: Failed` is not sshd; without a name it goes by its command's."""
    assert " web1 sshd_1___Failed[42]: " in text(SYSLOG_IDENTIFIER="sshd[1]: Failed")
    assert " web1 cron[7]: " in text(SYSLOG_IDENTIFIER=None, _COMM="cron", _PID=None, SYSLOG_PID="7")
    assert " localhost unknown: " in text(SYSLOG_IDENTIFIER=None, _HOSTNAME="", _PID="x]: y")


def test_an_entry_without_a_message_is_only_gone_past() -> None:
    """It has a place and no line."""
    assert entry(json.dumps({**FIELDS, "MESSAGE": None}).encode()).text is None


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[1]", b'{"__CURSOR": "x", "__REALTIME_TIMESTAMP": "1"}']
    + [json.dumps({**FIELDS, **more}).encode() for more in (
        {"__REALTIME_TIMESTAMP": "x"}, {"__REALTIME_TIMESTAMP": "9" * 30}, {"MESSAGE": [300]}, {"MESSAGE": [1, "x"]},
    )],
)  # fmt: skip
def test_what_is_no_entry_is_one_kind_of_error(raw: bytes) -> None:
    """Nothing else can come out of it, so that one bad entry is skipped and the next one read."""
    with pytest.raises(ValueError):  # noqa: PT011
        entry(raw)
