"""The README's first command on a machine that has nothing: a minimal Debian, made for the test."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.stage import debian
from tests.waiting import wait_for

PROJECT = Path(__file__).parents[2]
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")  # may hold one more than Debian's, of a proxy on the way
PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
MADE_HERE = (".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "build", "dist")
# As on a real machine its root is a mount, whose propagation can be changed.
ENTER = 'mount --bind "$0" "$0" && exec unshare --pid --fork --kill-child --root="$0" --mount-proc=/proc -- "$@"'
POLICY = "#!/bin/sh\n# the machine's own\nexit 101\n"

pytestmark = [pytest.mark.full, pytest.mark.root, pytest.mark.timeout(1_200)]


class Machine:
    """A Debian in a folder, entered in mount and pid namespaces of its own."""

    def __init__(self, root: Path, suite: str) -> None:
        self.root = root
        debian.make(suite, root)
        self._environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        self._environment |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        if AUTHORITIES.exists():
            shutil.copy(AUTHORITIES, root / "etc" / "authorities.pem")
            self._environment["PIP_CERT"] = "/etc/authorities.pem"

    def bring(self, project: Path) -> None:
        """Copies the project to /thwart, without what was made from it here."""
        shutil.copytree(project, self.root / "thwart", ignore=shutil.ignore_patterns(*MADE_HERE))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """`command` in there, away from any terminal."""
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", ENTER, str(self.root), *command],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )

    def processes(self, command: str) -> list[int]:
        """The pids, as seen from outside, of what runs `command` in there."""
        inside = [process for process in Path("/proc").glob("[0-9]*") if _root(process) == self.root]
        return [int(process.name) for process in inside if command in (process / "cmdline").read_text()]

    def started_at_boot(self) -> set[str]:
        """Links that start services."""
        units = self.root.glob("etc/systemd/**/*")
        scripts = self.root.glob("etc/rc[2-5S].d/S*")
        return {str(path.relative_to(self.root)) for path in (*units, *scripts) if path.is_symlink()}


@pytest.fixture(params=["bookworm", "trixie"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A minimal Debian with the project in /thwart. Half a gigabyte, so it goes at once."""
    root = tmp_path / "root"
    try:
        one = Machine(root, request.param)
        one.bring(PROJECT)
        yield one
    finally:
        shutil.rmtree(root, ignore_errors=True)


def test_the_first_command_works_on_a_minimal_debian(machine: Machine) -> None:
    """`scripts/demo --yes` installs what it needs, shows the main job, and leaves no service on."""
    before = machine.started_at_boot()
    policy = machine.root / "usr/sbin/policy-rc.d"
    policy.write_text(POLICY)
    done = machine.run("/thwart/scripts/demo", "--yes", "--json")
    assert done.returncode == 0, done.stderr[-4_000:]
    assert json.loads(done.stdout)["ok"]
    assert machine.started_at_boot() <= before
    assert policy.read_text() == POLICY


def test_what_the_tests_stand_on_leaves_no_service_on(machine: Machine) -> None:
    """firewalld, D-Bus, systemd, Prometheus: a machine on which the tests ran has the firewall that it had."""
    before = machine.started_at_boot()
    done = machine.run("/thwart/scripts/setup", "--yes", "test")
    assert done.returncode == 0, done.stderr[-4_000:]
    assert (machine.root / "usr/sbin/firewalld").exists()
    assert machine.started_at_boot() <= before
    assert not list((machine.root / "usr/sbin").glob("policy-rc.d*"))


def test_an_installation_that_ends_early_puts_everything_back(machine: Machine) -> None:
    """Where a package can't be had, and after an interrupt, nothing of set-up is left but whole packages."""
    before, sources = machine.started_at_boot(), machine.root / "etc/apt/sources.list"
    mirrors = sources.read_text()
    sources.write_text("")
    done = machine.run("/thwart/scripts/demo", "--yes")
    assert done.returncode != 0
    assert "rabbitmq-server" in done.stderr
    _check_as_before(machine, before)

    sources.write_text(mirrors)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(machine.run, "/thwart/scripts/setup", "--yes", "demo")
        wait_for((machine.root / "usr/sbin/sshd").exists, within=120)
        for pid in machine.processes("scripts/setup"):
            os.kill(pid, signal.SIGINT)
    assert running.result().returncode == 128 + signal.SIGINT
    _check_as_before(machine, before)


def _check_as_before(machine: Machine, started_at_boot: set[str]) -> None:
    assert machine.started_at_boot() == started_at_boot
    assert not list((machine.root / "usr/sbin").glob("policy-rc.d*"))
    assert not machine.run("dpkg", "--audit").stdout


def _root(process: Path) -> Path | None:
    """Where a process has its root; None for one that is gone."""
    try:
        return (process / "root").readlink()
    except OSError:
        return None
