"""What systemd hears, on a real datagram socket."""

import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from shared.notify import Notify


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Its end of the socket, and the name that it would put into NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@thwart-test-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(name.replace("@", "\0", 1))
        one.settimeout(5)
        yield one, name


def heard(one: socket.socket) -> list[str]:
    return one.recv(4096).decode().splitlines()


def test_each_word_has_systemds_form(systemd: tuple[socket.socket, str]) -> None:
    """A status is one line whatever is in it, and is said again only when it changes."""
    one, name = systemd
    notify = Notify({"NOTIFY_SOCKET": name})
    notify.status("not before the start")
    notify.started("takes orders")
    assert heard(one) == ["READY=1", "STATUS=takes orders"]
    notify.status("takes orders")
    notify.status("the broker\nis away")
    assert heard(one) == ["STATUS=the broker is away"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    notify.reloading()
    word, instant = heard(one)
    assert word == "RELOADING=1"
    assert instant.startswith("MONOTONIC_USEC=")
    assert before <= int(instant.partition("=")[2]) <= before + 1_000_000
    notify.reloaded()
    notify.stopping()
    assert [heard(one), heard(one)] == [["READY=1"], ["STOPPING=1"]]


def test_the_watchdog_hears_nothing_while_the_program_hangs(systemd: tuple[socket.socket, str]) -> None:
    """And something again after it, twice in the time that it allows."""
    one, name = systemd
    looks = iter([False, True, True, True, False])
    went = [time.monotonic()]

    def hangs() -> bool:
        went.append(time.monotonic())
        return next(looks, False)

    Notify({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"}).watch(hangs)
    assert [heard(one), heard(one)] == [["WATCHDOG=1"], ["WATCHDOG=1"]]
    assert len(went) >= 6
    pauses = [later - earlier for earlier, later in pairwise(went[1:6])]
    assert min(pauses) == pytest.approx(0.05, abs=0.02), "the one that nothing else on this machine held up"


def test_another_processs_watchdog_is_none_of_its_business(systemd: tuple[socket.socket, str]) -> None:
    """WATCHDOG_PID says whom it is for; a span that is no number asks for nothing."""
    _, name = systemd
    watching = threading.active_count()
    for asked in ({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {}):
        Notify({"NOTIFY_SOCKET": name, **asked}).watch(lambda: False)
    assert threading.active_count() == watching


def test_without_systemd_or_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    """No daemon ends for want of somebody to tell."""
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}, {"NOTIFY_SOCKET": "/" + "x" * 200}):
        Notify(environment).started("takes orders")
