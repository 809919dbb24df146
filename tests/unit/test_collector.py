"""Every complete line of a followed log reaches the manager once, whatever happens to file, broker or collector."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.collector import SAVE_EVERY
from shared import codec
from shared.errors import MessageTooLarge, Refused, Unroutable
from shared.messages import LogBatch
from tests.unit.a_collector import AHost, AManager
from tests.waiting import eventually

STAMPED = "2026-11-24T13:00:01.250000+01:00 web1 sshd[1]: Failed password"


@pytest.fixture
async def manager() -> AManager:
    return AManager()


@pytest.fixture
def host(tmp_path: Path, manager: AManager) -> AHost:
    return AHost(tmp_path, manager)


def open_files() -> set[str]:
    """The paths of what this process has open."""
    found = set()
    for each in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{each}"))
    return found


async def test_a_line_is_shipped_as_soon_as_it_is_written(host: AHost, manager: AManager) -> None:
    """One line alone waits for no company and no timer."""
    host.log.touch()
    async with host.following():
        took = []
        for number in range(5):
            written = time.perf_counter()
            host.write(f"line {number}")
            await host.shipped([f"line {each}" for each in range(number + 1)])
            took.append(time.perf_counter() - written)
    assert min(took) < SAVE_EVERY, "a timer would hold up every line by its pause; a busy machine not every one"
    assert [len(batch.lines) for batch in manager.batches] == [1] * 5


async def test_what_was_there_before_is_left_out_unless_it_is_wanted(tmp_path: Path, manager: AManager) -> None:
    """A log that is seen for the first time is read from its end; with from_start from its start."""
    for wanted in (False, True):
        folder = tmp_path / str(wanted)
        folder.mkdir()
        host = AHost(folder, manager, from_start=wanted)
        host.write(f"old {wanted}")
        async with host.following():
            host.write(f"new {wanted}")
            await eventually(lambda wanted=wanted: f"new {wanted}" in manager.texts)
    assert manager.texts == ["new False", "old True", "new True"]


async def test_a_line_that_was_half_written_at_first_sight_is_shipped_whole(host: AHost) -> None:
    """The end that reading begins at is the end of the last whole line."""
    host.append(b"old\nha")
    async with host.following():
        host.write("lf")
        await host.shipped(["half"])


async def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path, manager: AManager) -> None:
    """Neither the file nor its folder need exist: it is said, and they are noticed and read from the start."""
    host = AHost(tmp_path, manager, name="later/still/auth.log")
    with capture_logs() as said:
        async with host.following():
            pass
    assert [(each["action"], each["path"]) for each in said] == [("log_awaited", str(host.log))]
    async with host.following():
        host.log.parent.mkdir(parents=True)
        host.write("first")
        await host.shipped(["first"])


async def test_a_log_that_came_while_nobody_looked_is_read_from_its_start(host: AHost) -> None:
    """Who was waited for is new, also when it came between two runs."""
    async with host.following():
        pass
    host.write("first")
    async with host.following():
        await host.shipped(["first"])


async def test_a_line_waits_for_its_newline(host: AHost, manager: AManager) -> None:
    """Half a line is not shipped; the whole is, once."""
    host.log.touch()
    async with host.following():
        host.append(b"one\ntw")
        await host.shipped(["one"])
        host.append(b"o\n")
        await host.shipped(["one", "two"])
    assert [line.offset for line in manager.lines] == [0, 4]


async def test_what_comes_while_a_batch_is_on_its_way_is_the_next_batch(host: AHost, manager: AManager) -> None:
    """Under load lines coalesce, and one batch of a file is on its way at a time."""
    host.log.touch()
    async with host.following():
        manager.stop_confirming()
        host.write("line 0")
        await eventually(lambda: manager.on_their_way)
        for number in range(1, 100):
            host.write(f"line {number}")
        manager.confirm()
        await host.shipped(f"line {each}" for each in range(100))
    assert [len(batch.lines) for batch in manager.batches] == [1, 99]


async def test_batches_have_a_limit(host: AHost, manager: AManager) -> None:
    """However much there is, no body is over 256 KiB, and offsets join up."""
    host.log.touch()
    async with host.following():
        lines = [f"{number} {'é' * (number % 3_000)}" for number in range(1_000)]
        host.write(*lines)
        await host.shipped(lines)
    assert max(len(codec.encode(batch)) for batch in manager.batches) <= 256 * 1024
    ends = [batch.cursor.next for batch in manager.batches]
    assert [batch.cursor.first for batch in manager.batches] == [0, *ends[:-1]]


async def test_lines_have_their_own_instants_or_the_collectors(host: AHost, manager: AManager) -> None:
    """A stamp in the line is its instant; without one it is when it was collected."""
    host.log.touch()
    async with host.following():
        host.write(STAMPED, "no stamp")
        await host.shipped([STAMPED, "no stamp"])
    assert manager.lines[0].at == 1_795_521_601.25
    assert abs(manager.lines[1].at - time.time()) < 10


async def test_over_a_restart_nothing_is_lost_or_doubled(host: AHost) -> None:
    """Lines written between two runs are shipped by the second, and no other."""
    host.log.touch()
    async with host.following():
        host.write("one")
        await host.shipped(["one"])
    host.write("two")
    async with host.following():
        host.write("three")
        await host.shipped(["one", "two", "three"])


async def test_a_renamed_log_is_read_to_its_end_first(host: AHost, manager: AManager) -> None:
    """Who writes goes on in the old file until it opens the new one; those lines come before the new one's."""
    host.log.touch()
    async with host.following():
        host.write("one")
        await host.shipped(["one"])
        old = host.rotate()
        host.write("two", to=old)
        await host.shipped(["one", "two"])
        host.append(b"three\nunfinished", to=old)
        host.write("four")
        await host.shipped(["one", "two", "three", "unfinished", "four"])
    assert len({batch.cursor.file for batch in manager.batches}) == 2


async def test_rotations_while_nobody_looked_are_caught_up_with(host: AHost, manager: AManager) -> None:
    """The file that was being read is found by its inode, and those that came after it are read in order."""
    host.log.touch()
    async with host.following():
        host.write("one")
        await host.shipped(["one"])
    host.write("two")
    for number in range(3):
        host.rotate()
        host.write(f"after {number}")
    async with host.following():
        host.write("last")
        await host.shipped(["one", "two", "after 0", "after 1", "after 2", "last"])
    assert len({batch.cursor.file for batch in manager.batches}) == 4


async def test_rotated_files_named_by_date_are_found(host: AHost) -> None:
    """`dateext` names sort by their dates."""
    host.log.touch()
    async with host.following():
        host.write("one")
        await host.shipped(["one"])
    for day in (20261122, 20261123, 20261124):
        host.write(str(day))
        host.log.rename(f"{host.log}-{day}")
    host.write("last")
    async with host.following():
        await host.shipped(["one", "20261122", "20261123", "20261124", "last"])


@pytest.mark.parametrize("running", [True, False])
async def test_a_truncated_log_is_read_from_its_start_under_another_identity(
    host: AHost, manager: AManager, running: bool
) -> None:
    """Truncation makes another file of it, even if it grew past the old position with an equal first line."""
    host.log.touch()
    async with host.following():
        host.write("same first line", "one")
        await host.shipped(["same first line", "one"])
        if running:
            host.log.write_text("same first line\nother\nmore\n")
            await host.shipped(["same first line", "one", "same first line", "other", "more"])
    if not running:
        host.log.write_text("same first line\nother\nmore\n")
        async with host.following():
            await host.shipped(["same first line", "one", "same first line", "other", "more"])
    assert len({batch.cursor.file for batch in manager.batches}) == 2


@pytest.mark.parametrize("running", [True, False])
async def test_the_rest_of_a_truncated_log_is_read_from_its_copy(host: AHost, manager: AManager, running: bool) -> None:
    """`copytruncate` while the broker or the collector is away: what was not shipped yet is in the copies."""
    host.log.touch()
    wanted = ["one", "two", "three", "four"]

    def meanwhile() -> None:
        for line in ("two", "three"):
            host.write(line)
            host.copy_and_truncate()
        host.write("four")

    async with host.following():
        host.write("one")
        await host.shipped(["one"])
        if running:
            manager.stop_confirming()
            host.write("two")
            await eventually(lambda: manager.on_their_way)
            wanted.insert(1, "two")
            meanwhile()
            manager.confirm()
            await host.shipped(wanted)
    if not running:
        meanwhile()
        async with host.following():
            await host.shipped(wanted)


async def test_a_new_file_in_an_old_inode_is_a_new_file(host: AHost, manager: AManager) -> None:
    """Filesystems give inodes again; what was read tells the files apart."""
    host.log.touch()
    async with host.following():
        host.write("one")
        await host.shipped(["one"])
    kept = os.stat(host.log).st_ino
    host.log.unlink()
    host.log.write_text("two\nthree\n")  # most likely in the inode that was given free
    async with host.following():
        await host.shipped(["one", "two", "three"])
    assert len({batch.cursor.file for batch in manager.batches}) == 2, kept


async def test_a_position_moves_only_after_the_confirm(host: AHost, manager: AManager) -> None:
    """A collector that ends before the confirm ships the same again, under the same identity and offsets."""
    host.log.touch()
    async with host.following():
        manager.stop_confirming()
        host.write("one", "two")
        await eventually(lambda: manager.on_their_way)
    ((first, _),) = manager.on_their_way
    async with host.following():
        await eventually(lambda: len(manager.on_their_way) == 2)
        again, _ = manager.on_their_way[1]
        assert (again.message_id, again.routing_key) == (first.message_id, first.routing_key)
        manager.confirm()
        await host.shipped(["one", "two"])


@pytest.mark.parametrize("taken", [True, False])
async def test_a_batch_whose_confirm_was_lost_is_sent_again(host: AHost, manager: AManager, taken: bool) -> None:
    """Whether the broker had it or not, each line counts once."""
    host.log.touch()
    async with host.following():
        manager.stop_confirming()
        host.write("one")
        await eventually(lambda: manager.on_their_way)
        manager.lose(after_taking=taken)
        await eventually(lambda: manager.on_their_way)
        manager.confirm()
        host.write("two")
        await host.shipped(["one", "two"])


@pytest.mark.parametrize("refusal", [Refused("full"), Unroutable("no queue")])
async def test_a_full_queue_is_waited_for(host: AHost, manager: AManager, refusal: Exception) -> None:
    """A refused batch is sent again until it is taken, with one warning."""
    host.log.touch()
    manager.refusals = [refusal, refusal]
    with capture_logs() as said:
        async with host.following():
            host.write("one")
            await host.shipped(["one"])
    assert [each["action"] for each in said] == ["logs_refused"]


async def test_while_the_broker_is_away_the_log_is_the_buffer(host: AHost, manager: AManager) -> None:
    """Nothing is read ahead while nothing can be sent, and rotated files are held on to, even deleted ones."""
    host.log.touch()
    async with host.following():
        host.write("one")
        await host.shipped(["one"])
        manager.go_away()
        host.write("two")
        rotated = host.rotate()
        host.write("three")
        await eventually(lambda: {str(host.log), str(rotated)} <= open_files())
        rotated.unlink()
        manager.come_back()
        await host.shipped(["one", "two", "three"])


async def test_a_line_that_cannot_be_sent_is_skipped_alone(host: AHost, manager: AManager) -> None:
    """What no body can hold is cut out line by line and counted; its neighbours arrive."""

    def encode(batch: LogBatch) -> bytes:
        if any("poison" in line.text for line in batch.lines):
            raise MessageTooLarge("too large")
        return codec.encode(batch)

    host.log.touch()
    lines = ["a", "b", "poison 1", "c", "d", "poison 2", "e"]
    async with host.following(encode=encode) as collector:
        host.write(*lines)
        await host.shipped(["a", "b", "c", "d", "e"])
        host.write("f")
        await host.shipped(["a", "b", "c", "d", "e", "f"])
        assert (collector.shipped, collector.skipped) == (6, 2)


@pytest.mark.parametrize("unreadable", ["link", "pipe"])
async def test_what_cannot_be_read_is_said_once_and_tried_again(host: AHost, unreadable: str) -> None:
    """A path that leads nowhere or to no file is warned of once; when it can be read, that is the first sight of it."""
    host.log.symlink_to(host.log) if unreadable == "link" else os.mkfifo(host.log)
    with capture_logs() as said:
        async with host.following():
            pass
        async with host.following():
            old = host.log.with_name("old")
            host.write("old", to=old)
            old.rename(host.log)
            await eventually(lambda: str(host.log) in open_files())
            host.write("new")
            await host.shipped(["new"])
    assert [(each["action"], each["path"]) for each in said] == [("log_unreadable", str(host.log))] * 2
