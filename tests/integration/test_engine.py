"""The tests' own Docker engine: shared, apart from the machine, and gone with whoever used it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import ThwartError
from tests.stage import cgroups
from tests.stage.compose_program import ComposeProgram
from tests.stage.engine import PROJECT, Engine
from tests.stage.engine_keeper import Layout
from tests.stage.guard import NETNS
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SUBNET, PORT = "198.18.77.0/24", 47_613  # nobody else has them
ENDED = 30.0  # s for an engine without users to be gone, on a busy machine
SLEEPER = f"""
services:
  sleeper:
    image: sleeper:test
    command: [/bin/sleep, "3600"]
    restart: always
    volumes: [/data]
    ports: ["127.0.0.1:{PORT}:80"]
networks: {{default: {{ipam: {{config: [{{subnet: {SUBNET}}}]}}}}}}
"""
# One more user, in a process of its own, that says when it has an engine and never ends.
USER = """
import pathlib, signal, sys
from tests.stage.engine import Engine
engine = Engine(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short one, since a socket's path may not be long."""
    return tmp_path_factory.mktemp("e")


@pytest.fixture
def own(folder: Path) -> Iterator[Engine]:
    """An engine that nobody else uses."""
    with Engine(folder) as engine:
        yield engine


@pytest.fixture
def sleeper(own: Engine, tmp_path: Path) -> str:
    """The id of a container, with a volume and a published port, that its engine starts whenever it ends."""
    own.client.import_image("sleeper:test", [_tar("/bin/sleep")], ["CMD sleep"])
    (tmp_path / "compose.yml").write_text(SLEEPER)
    ComposeProgram(own).run("--project-directory", str(tmp_path), "up", "--detach")
    (container,) = own.client.get("/containers/json")
    return str(container["Id"])


def _tar(program: str) -> bytes:
    """A program of this machine, and the libraries that it wants."""
    wanted = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in wanted.split() if word.startswith("/")]
    command = ["tar", "--create", "--dereference", "--directory=/", program, *libraries]
    return subprocess.run(command, capture_output=True, check=True).stdout


def _networks(folder: Path) -> list[str]:
    """The network namespaces of the engine in `folder`."""
    return [name for name in os.listdir(NETNS) if name.startswith(Layout(folder, folder).namespaces)]


def _groups(folder: Path) -> list[Path]:
    """The control groups of the engine in `folder`."""
    return [path for tree in cgroups.trees() for path in tree.glob(f"{Layout(folder, folder).namespaces}*")]


def _processes(folder: Path) -> list[int]:
    """The processes that were told of `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder) in path.read_text() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _ended(folder: Path) -> bool:
    return not _networks(folder) and not _processes(folder) and not _groups(folder)


def _machine() -> str:
    """The machine's own firewall, addresses and routes, as text."""
    commands = [["iptables-save"], ["ip", "address"], ["ip", "route", "show", "table", "all"]]
    return "".join(subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in commands)


def test_it_ends_with_its_last_user(folder: Path) -> None:
    """One that a second user has found running stays when the first leaves, and nothing of it is left after both."""
    with Engine(folder) as first:
        second = Engine(folder)
        assert len(_networks(folder)) == 1
        first.close()
        assert second.client.answers
        assert len(_networks(folder)) == 1
        second.close()
    wait_for(lambda: _ended(folder), within=ENDED)


def test_the_machine_s_own_network_is_left_alone(own: Engine, sleeper: str) -> None:
    """What Docker does for a container with a published port, it does to the engine's network and to no other."""
    forwards = Path("/proc/sys/net/ipv4/ip_forward")
    before = forwards.read_text()
    address = SUBNET.removesuffix("0/24")
    assert str(PORT) in own.host.run("iptables-save")
    assert address in own.host.run("ip", "route")
    assert own.host.run("cat", str(forwards)).strip() == "1"
    assert str(PORT) not in _machine()
    assert address not in _machine()
    assert forwards.read_text() == before


def test_a_container_s_process_is_found_from_outside(own: Engine, sleeper: str) -> None:
    """The number of a container's first process is this machine's, whatever the engine in its own world says."""
    process = Path("/proc", str(own.pid(sleeper)))
    assert process.joinpath("cmdline").read_text() == "/bin/sleep\x003600\x00"
    assert own.pid("0" * 64) == 0


def test_nothing_is_left_of_a_killed_run(folder: Path, own: Engine, sleeper: str) -> None:
    """A run that dies leaves an engine that ends, and the next one finds no container, volume or network of it."""
    process = own.pid(sleeper)
    command = [sys.executable, "-c", USER, str(folder)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None and user.stdout.readline() == "ready\n"
        own.close()
        assert Path("/proc", str(process)).exists()
        user.kill()
    wait_for(lambda: _ended(folder), within=ENDED)
    assert not Path("/proc", str(process)).exists()
    with Engine(folder) as after:
        _assert_empty(after)


def test_nothing_is_left_of_a_killed_keeper(folder: Path, own: Engine, sleeper: str) -> None:
    """SIGKILL to what runs the engine ends it and its containers, and the next start clears what it had no time for."""
    process = own.pid(sleeper)
    assert [each for each in _groups(folder) if (each / sleeper).exists()]
    (keeper,) = [pid for pid in _processes(folder) if b"engine_keeper" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: _ended(folder) and not Path("/proc", str(process)).exists(), within=ENDED)
    own.close()
    with Engine(folder) as after:
        _assert_empty(after)


def _assert_empty(engine: Engine) -> None:
    assert engine.client.labels("sleeper:test") is not None
    assert engine.client.get("/containers/json", all=True) == []
    assert engine.client.get("/volumes")["Volumes"] in (None, [])
    assert {each["Name"] for each in engine.client.get("/networks")} == {"bridge", "host", "none"}


def test_why_none_can_be_started_is_said(folder: Path) -> None:
    """Where dockerd doesn't run its words are in the error, and nothing is left of the attempt."""
    (folder / "data").write_text("a file where its images should be")
    with pytest.raises(ThwartError, match=r"no Docker engine.*scripts/setup test(?s:.*)points to a file"):
        Engine(folder)
    wait_for(lambda: _ended(folder), within=ENDED)


def test_an_engine_without_a_network_is_none(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its way to the world can't be made, as without /dev/net/tun, its words are in the error."""
    way = tmp_path / "slirp4netns"
    way.write_text("#!/bin/sh\necho no /dev/net/tun\nexit 1\n")
    way.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ThwartError, match=r"no Docker engine(?s:.*)slirp4netns has ended: no /dev/net/tun"):
        Engine(folder)
    wait_for(lambda: _ended(folder), within=ENDED)
