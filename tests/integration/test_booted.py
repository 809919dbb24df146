"""The stage's machines with systemd touch nothing of this one, and nothing of them stays."""

from pathlib import Path

import pytest

from shared.errors import ThwartError
from tests.stage import booted, debian
from tests.stage.booted import PACKAGES, Booted
from tests.stage.guard import Guard

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]  # the first run makes the Debian


@pytest.fixture(params=["bookworm", "trixie"])
def root(request: pytest.FixtureRequest) -> Path:
    return debian.kept(request.param, *PACKAGES)


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    folder = tmp_path / "shown"
    folder.mkdir()
    return folder


def test_a_machine_that_boots_sees_nothing_of_this_one(guard: Guard, root: Path, shown: Path, tmp_path: Path) -> None:
    """Its files, kernel settings, disks and network are its own, and what is shown to it can't be written to."""
    machine = Booted(guard, root, tmp_path / "machine", shown={shown: "/shown"})
    assert machine.run("systemctl", "is-system-running") == "running\n"
    assert machine.run("ls", "/tmp") == ""
    for words in (["touch", "/shown/x"], ["mknod", "/dev/disk", "b", "254", "0"], ["tee", "/proc/sys/vm/swappiness"]):
        with pytest.raises(ThwartError, match=r"Read-only|not permitted|Permission denied"):
            machine.run(*words, text="60")
    assert len(machine.run("cat", "/proc/net/dev").splitlines()) == 3  # two of heading, and loopback
    machine.run("touch", "/usr/its-own")
    assert machine.file("/usr/its-own").exists()
    assert not (root / "usr" / "its-own").exists()


def test_systemd_is_not_started_beside_what_is_this_machines(
    guard: Guard, root: Path, shown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that could be written to ends the start, before systemd empties it."""
    monkeypatch.setattr(booted, "_PREPARE", booted._PREPARE.replace("remount,bind,ro", "remount,bind,rw"))
    with pytest.raises(AssertionError, match="refused to start systemd: /shown is not its own"):
        Booted(guard, root, tmp_path / "machine", shown={shown: "/shown"})


def test_nothing_of_a_machine_is_left(root: Path, tmp_path: Path) -> None:
    """Its processes, mounts and control groups are gone with its guard."""
    with Guard() as its:
        machine = Booted(its, root, tmp_path / "machine")
        assert (machine.cgroup / "init.scope").exists()
        assert Path(f"/proc/{machine.pid}/exe").readlink().name == "systemd"
    assert not machine.cgroup.exists()  # so nobody is in it
    assert list((tmp_path / "machine" / "machine").iterdir()) == []
