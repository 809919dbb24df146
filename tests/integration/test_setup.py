"""What `scripts/setup` promises on every machine; tests/e2e/test_fresh_debian.py has what it does on a fresh one."""

import fcntl
import hashlib
import os
import platform
import shutil
import sys
from pathlib import Path

import pytest

from tests.stage.guard import Guard
from tests.stage.process import Process
from tests.waiting import wait_for

SETUP = Path(__file__).parents[2] / "scripts" / "setup"


@pytest.fixture
def setup(tmp_path: Path) -> Path:
    """The script in a project for which nothing is left to be set up."""
    script = tmp_path / "scripts" / "setup"
    script.parent.mkdir()
    shutil.copy(SETUP, script)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    made_from = script.read_bytes() + f"Python {platform.python_version()}\n".encode()
    (tmp_path / ".venv" / "made-from").write_text(f"{hashlib.sha256(made_from).hexdigest()}  -\n")
    for empty in ("requirements.lock", "pyproject.toml"):
        (tmp_path / empty).touch()
    return script


def test_a_second_one_waits_for_the_first(setup: Path, guard: Guard, tmp_path: Path) -> None:
    """It would take away the first one's policy-rc.d, and services that are being installed would start."""
    folder = Path("/usr/sbin") if os.geteuid() == 0 else tmp_path
    first = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = Process(guard, [str(setup), "--yes", "python"], tmp_path / "log")
        wait_for(lambda: not second.running or _waits(second), 60)
        assert second.running, second.last_words()
        assert second.last_words() == "waiting for another scripts/setup"
    finally:
        os.close(first)
    assert second.wait(60) == 0


def _waits(process: Process) -> bool:
    """For a lock, by a program that it has started (proc(5): /proc/locks)."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    waiting = [line.split()[-4] for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return bool(set(children) & set(waiting))
