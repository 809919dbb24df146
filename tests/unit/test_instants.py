"""A line's own stamp is read as the instant nearest to when the line was seen."""

from datetime import UTC, datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.instants import instant

BERLIN = ZoneInfo("Europe/Berlin")
SSHD = "LabSZ sshd[24200]: Failed password for root from 203.0.113.9 port 22 ssh2"


def unix(*fields: int, zone: timezone | ZoneInfo = UTC) -> float:
    return datetime(*fields, tzinfo=zone).timestamp()


NOW = unix(2026, 11, 24, 12)


@pytest.mark.parametrize(
    ("stamp", "near", "year"),
    [
        ("Nov 24 11:59:59", unix(2026, 11, 24, 12), 2026),
        ("Dec 31 23:59:59", unix(2027, 1, 1, 0, 0, 5), 2026),
        ("Jan  1 00:00:01", unix(2026, 12, 31, 23, 59, 58), 2027),  # the host's clock is ahead of ours
        ("Jan 01 00:00:01", unix(2027, 1, 1, 0, 0, 5), 2027),
        ("Jul 20 12:00:00", unix(2027, 1, 1, 0, 0, 5), 2026),
        ("Jun 20 12:00:00", unix(2027, 1, 1, 0, 0, 5), 2027),
        ("Feb 29 12:00:00", unix(2028, 3, 1), 2028),
        ("Feb 29 12:00:00", unix(2027, 3, 1), 2028),
        ("Feb 29 12:00:00", unix(2025, 3, 1), 2024),
    ],
)
def test_a_stamp_without_a_year_gets_the_nearest_one(stamp: str, near: float, year: int) -> None:
    """RFC 3164 leaves the year out; over New Year's and around 29 February the nearest one is meant."""
    at = instant(f"{stamp} {SSHD}", near, UTC)
    assert at is not None
    assert f"{datetime.fromtimestamp(at, UTC):%Y %b %d %H:%M:%S}" == f"{year} {stamp.replace('  ', ' 0')}"


def test_a_year_that_is_given_is_the_year() -> None:
    """`thwart correlate --year` overrides what would be nearest; a date that year lacks is no instant."""
    assert instant(f"Dec 10 06:55:46 {SSHD}", NOW, UTC, 2015) == unix(2015, 12, 10, 6, 55, 46)
    assert instant(f"Feb 29 06:55:46 {SSHD}", NOW, UTC, 2015) is None


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("2026-11-24T12:00:01Z", NOW + 1),
        ("2026-11-24T13:00:01.250000+01:00", NOW + 1.25),
        ("2026-11-24T13:00:01,5+0100", NOW + 1.5),
        ("2026-11-24T06:30:01-05:30", NOW + 1),
        ("2026-11-24 13:00:01", NOW + 1),  # without a zone: the host's
        ("2026-11-24T13:00:01.000001", NOW + 1.000001),
        ("Nov 24 13:00:01", NOW + 1),
        ("2016-12-31T23:59:60Z", unix(2017, 1, 1)),  # a leap second
    ],
)
def test_stamps_are_read_in_their_own_zone_or_the_hosts(stamp: str, at: float) -> None:
    """ISO 8601 with its zone is taken as it is; what names none is in the host's."""
    assert instant(f"{stamp} web1 sshd[1]: x", NOW, BERLIN) == pytest.approx(at, abs=1e-6)


def test_the_hour_that_comes_twice_is_the_nearer_one() -> None:
    """When clocks go back, a stamp of the doubled hour is read as the one closer to when it was seen."""
    summer, winter = unix(2026, 10, 25, 0, 30), unix(2026, 10, 25, 1, 30)
    assert instant("Oct 25 02:30:00 web1 sshd[1]: x", summer + 2, BERLIN) == summer
    assert instant("Oct 25 02:30:00 web1 sshd[1]: x", winter + 2, BERLIN) == winter
    assert instant("2026-10-25T02:30:00 web1 sshd[1]: x", winter + 2, BERLIN) == winter


def test_an_hour_that_does_not_exist_is_still_an_instant() -> None:
    """A stamp inside the gap when clocks go forward, of a program that has not noticed, is within an hour of it."""
    seen = unix(2026, 3, 29, 1, 30)
    at = instant("Mar 29 02:30:00 web1 sshd[1]: x", seen, BERLIN)
    assert at is not None and abs(at - seen) <= 3600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no stamp at all",
        "Nov 31 12:00:00 x",
        "Foo 24 12:00:00 x",
        "Nov 24 25:00:00 x",
        "Nov 24 12:00:61 x",
        "Nov 24 12:00",
        "Nov ٢٤ 12:00:00 x",
        "2026-13-24T12:00:00Z x",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_what_is_no_stamp_gives_nothing(text: str) -> None:
    """Dates that don't exist, other scripts' digits and years that no message can carry are no instants."""
    assert instant(text, NOW, UTC) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.*"))
def test_no_text_raises(text: str) -> None:
    """Whatever a log holds, the answer is an instant that a message can carry, or nothing."""
    at = instant(text, NOW, BERLIN)
    assert at is None or 0 <= at <= 32_503_680_000


@given(st.integers(946_684_800, 3_786_912_000), st.integers(-180 * 86_400, 180 * 86_400))
def test_what_was_stamped_within_half_a_year_is_read_back(at: int, away: int) -> None:
    """Stamps come out as the instants they were made of, whenever within half a year they are read."""
    stamped = datetime.fromtimestamp(at, UTC)
    assert instant(f"{stamped:%b %d %H:%M:%S} web1 x", at + away, UTC) == at
    assert instant(f"{stamped.isoformat()} web1 x", at + away, BERLIN) == at


@pytest.mark.parametrize(
    "line",
    [
        '203.0.113.9 - - [24/Nov/2026:13:00:01 +0100] "GET / HTTP/1.1" 404 153 "-" "-"',
        'www.example.com:443 2001:db8::9 - a b [24/Nov/2026:12:00:01 +0000] "GET / HTTP/1.1" 404 153 "-" "-"',
        '203.0.113.9 - [01/Jan/2020:00:00:00 +0000] [24/Nov/2026:12:00:01 +0000] "GET / HTTP/1.1" 404 153 "-" "-"',
        "[Tue Nov 24 12:00:01.123456 2026] [auth_basic:error] [pid 42] [client 203.0.113.9:5678] AH01617: user a",
        'Tue Nov 24 12:00:01 2026 [pid 4711] [admin] FAIL LOGIN: Client "203.0.113.9"',
    ],
)
def test_web_and_ftp_servers_own_files_are_read(line: str) -> None:
    """An access log's stamp stands behind the client, and no user name can stand in for it; others are ctime's."""
    assert instant(line, NOW, UTC) == NOW + 1


@pytest.mark.parametrize(
    "line",
    [
        '203.0.113.9 - - [31/Feb/2026:13:00:01 +0100] "GET / HTTP/1.1" 404 153',
        '203.0.113.9 - - [24/Nov/2026:13:00:99 +0100] "GET / HTTP/1.1" 404 153',
        '203.0.113.9 - - "[24/Nov/2026:13:00:01 +0100] "GET / HTTP/1.1" 404 153',
        "Tue Nov 24 12:00:01",
    ],
)
def test_what_only_looks_like_a_servers_stamp_is_none(line: str) -> None:
    """Days that don't exist and stamps that stand among a client's words are no instants."""
    assert instant(line, NOW, UTC) is None
