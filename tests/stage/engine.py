"""A Docker engine of the tests' own: its network, its processes and its images are apart from the machine's.

Another engine on the same machine is not used and not disturbed. Several test runs share this one: the first starts
it, it ends with the last, and nothing of its containers is left then.
"""

import fcntl
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from shared.errors import ThwartError
from tests.stage import cgroups, debian
from tests.stage.docker_client import DockerClient
from tests.stage.engine_keeper import Layout
from tests.stage.network import Host
from tests.waiting import wait_for

PROJECT = Path(__file__).parents[2]
# Debian 13's. That of Debian 12, 20.10, now and then locks itself up for ever when several containers end at once.
SUITE, PACKAGES = "trixie", ("ca-certificates", "docker-compose", "docker.io")
START = 60.0  # s on a busy machine; half a second on a quiet one


class Engine:
    """One user of the engine. Raises ThwartError with its words where none can be started."""

    def __init__(self, folder: Path = debian.CACHE / "engine") -> None:
        """Returns when it answers. It is kept in `folder`, images and all."""
        folder.mkdir(parents=True, exist_ok=True)
        self._layout = Layout(folder, debian.kept(SUITE, *PACKAGES))
        self._using = self._layout.users.open("w")
        fcntl.flock(self._using, fcntl.LOCK_SH)  # for as long as one is just ending, this waits
        self.client = DockerClient(self._layout.socket)
        try:
            with (folder / "starting").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not self.client.answers:
                    self._start()
        except BaseException:
            self.close()
            raise

    @property
    def folder(self) -> Path:
        """Its own, which is kept."""
        return self._layout.folder

    @property
    def programs(self) -> Path:
        """The Debian that they are in."""
        return self._layout.programs

    @property
    def socket(self) -> Path:
        """Where it is asked: `docker -H unix://SOCKET`, while it runs."""
        return self._layout.socket

    @property
    def host(self) -> Host:
        """The machine that containers see around them: published ports and `network_mode: host` are there."""
        return Host("engine", self._layout.namespace.read_text(), ("127.0.0.1",))

    def pid(self, container: str) -> int:
        """This machine's number for the first process of a running container, by its full id.

        Docker's own number is that of the engine's processes alone.
        """
        name = self._layout.namespace.read_text()
        members = (pid for tree in cgroups.trees() for pid in _members(tree / name / container))
        return next((pid for pid in members if _is_first(pid)), 0)

    def close(self) -> None:
        """Ends it too, within some seconds, if nobody else uses it."""
        self.client.close()
        self._using.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _start(self) -> None:
        self._layout.log.unlink(missing_ok=True)
        with self._layout.log.open("ab") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "tests.stage.engine_keeper", str(self.folder), str(self.programs)],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C on the terminal is for the run
            )
        wait_for(lambda: self.client.answers or keeper.poll() is not None, within=START)
        if keeper.poll() is not None:
            words = "\n".join(self._layout.log.read_text(errors="replace").splitlines()[-15:])
            raise ThwartError(f"no Docker engine could be started; run scripts/setup test: {words}")
        self.client.clear()  # what a killed keeper has left


def _members(cgroup: Path) -> list[int]:
    """The processes in a control group; none: there is no such one."""
    try:
        return [int(line) for line in (cgroup / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _is_first(pid: int) -> bool:
    """Whether its number is 1 in the innermost of its worlds."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:  # it has just ended
        return False
    return next(line for line in lines if line.startswith("NSpid")).split()[-1] == "1"
