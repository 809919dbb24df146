"""Every entry of the systemd journal reaches the manager once, whatever happens to journal, journalctl or collector."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.logs.journalctl import LONGEST
from shared.instants import instant
from tests.unit.a_collector import AManager
from tests.unit.a_journal import BOOTS, WRITER, AFollower, AJournal
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(
    not WRITER.exists() and not os.environ.get("CI"), reason=f"{WRITER}: not found; run scripts/setup"
)


@pytest.fixture
async def manager() -> AManager:
    return AManager()


@pytest.fixture
def journal(tmp_path: Path) -> AJournal:
    return AJournal(tmp_path / "journal")


@pytest.fixture
def follower(tmp_path: Path, manager: AManager) -> AFollower:
    return AFollower(tmp_path, manager)


async def test_entries_are_shipped_over_rotation_and_restarts(
    journal: AJournal, follower: AFollower, manager: AManager
) -> None:
    """Rotated while followed and while not, ended and killed: each entry once, in order; also those from before a
    reboot that were not shipped yet. One that was ended has kept its place: the next sends nothing twice.
    """
    journal.log("one", "two")
    async with follower.running():
        await follower.shipped("one", "two")
        journal.log("three")
        journal.rotate()
        journal.log("four")
        await follower.shipped("one", "two", "three", "four")
    journal.log("five")
    journal.rotate()
    journal.boot = BOOTS[1]
    journal.log("six")
    async with follower.running(killed=True):
        await follower.shipped("one", "two", "three", "four", "five", "six")
        assert sum(len(batch.lines) for batch in manager.batches) == 6
    journal.log("seven")
    async with follower.running():
        await follower.shipped("one", "two", "three", "four", "five", "six", "seven")


async def test_what_a_killed_one_shipped_is_known_by_the_journals_numbers(
    journal: AJournal, follower: AFollower, manager: AManager
) -> None:
    """Positions that were not written down cost a batch that comes twice, under the same file and offsets."""
    async with follower.running(killed=True) as one:
        one._store.dead = True
        journal.log("one", "two")
        await follower.shipped("one", "two")
    async with follower.running():
        await eventually(lambda: sum(len(batch.lines) for batch in manager.batches) == 4, 20)
        await follower.shipped("one", "two")
    assert len({(batch.cursor.file, line.offset) for batch in manager.batches for line in batch.lines}) == 2


async def test_what_was_there_before_is_left_out_unless_it_is_wanted(
    journal: AJournal, tmp_path: Path, manager: AManager
) -> None:
    """A journal that is seen for the first time is read from now on, also when the first look ends before anything
    was logged.
    """
    journal.log("old")
    follower = AFollower(tmp_path, manager, from_start=False)
    async with follower.running(killed=True):
        pass
    journal.log("new", at=None)
    async with follower.running():
        await follower.shipped("new")


async def test_a_vacuumed_journal_is_said_and_gone_on_with(journal: AJournal, follower: AFollower) -> None:
    """The entry that was read last is gone: that is said, and the oldest one after it is not missed."""
    journal.log("one")
    async with follower.running():
        await follower.shipped("one")
    journal.log("lost")
    journal.rotate().unlink()
    journal.log("two", "three")
    with capture_logs() as logs:
        async with follower.running():
            await follower.shipped("one", "two", "three")
    assert [each["action"] for each in logs].count("journal_gap") == 1


async def test_hostile_entries_cost_themselves_alone(journal: AJournal, follower: AFollower) -> None:
    """Bytes that are no text, newlines, no message, and one that is too long to be read: the next one comes."""
    journal.log(b"\xff\xfe", "two\nlines", "x" * 2 * LONGEST, "last")
    async with follower.running() as one:
        await follower.shipped("\\xff\\xfe", "two#012lines", "last")
        assert one.skipped == 1


async def test_the_instant_is_the_journals(journal: AJournal, follower: AFollower, manager: AManager) -> None:
    """A line's instant is when journald took it, to the microsecond, and not when it was read."""
    journal.log("then", at=1_700_000_000_123_456)
    async with follower.running():
        await follower.shipped("then")
    assert manager.lines[0].at == pytest.approx(1_700_000_000.123456, abs=1e-6)
    assert instant(manager.lines[0].text, 0.0) == manager.lines[0].at


async def test_a_journalctl_that_dies_is_started_again(journal: AJournal, follower: AFollower) -> None:
    """Killed in the middle: said, started again, and nothing is lost or doubled. It ends with the collector."""
    journal.log("one")
    with capture_logs() as logs:
        async with follower.running():
            await follower.shipped("one")
            (child,) = children(journal.folder)
            os.kill(child, signal.SIGKILL)
            journal.log("two")
            await follower.shipped("one", "two")
    assert [each["problem"] for each in logs if each.get("action") == "journal_reopened"] == ["journalctl ended (-9)"]
    assert children(journal.folder) == []


async def test_a_missing_journalctl_is_said_once_and_looked_for_again(
    journal: AJournal, follower: AFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what to install; once it is there it is followed."""
    journal.log("one")
    path = os.environ["PATH"]
    with capture_logs() as logs, tempfile.TemporaryDirectory() as empty:
        monkeypatch.setenv("PATH", empty)
        async with follower.running():
            await eventually(lambda: any(each.get("action") == "journal_unreadable" for each in logs))
            monkeypatch.setenv("PATH", path)
            await follower.shipped("one")
    (said,) = [each["problem"] for each in logs if each.get("action") == "journal_unreadable"]
    assert said.startswith("journalctl can't be started: No such file or directory; install systemd")


def children(folder: Path) -> list[int]:
    """The journalctl processes of this journal."""
    return [pid for pid, line in _command_lines() if "journalctl" in line and str(folder) in line]


def _command_lines() -> Iterator[tuple[int, str]]:
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            yield int(pid), Path(f"/proc/{pid}/cmdline").read_text()
