"""One agent for each network namespace: a second one is told who is there, and nobody else can keep it out."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent import namespace
from manager.up.plan import written
from shared.errors import NamespaceInUse
from tests.stage.guard import Guard
from tests.stage.network import Host, Network
from tests.stage.process import Process
from tests.waiting import wait_for

pytestmark = pytest.mark.root
COMMAND = Path(sys.executable).with_name("thwart-agent")
BIND = "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('\\0thwart-agent'); {}; print(1, flush=True)"


@pytest.fixture
def host(network: Network) -> Host:
    return network.host("web1", 11)


class An:
    """`thwart-agent run` on a host, without a broker."""

    def __init__(self, guard: Guard, host: Host, folder: Path, name: str) -> None:
        self._guard, self._host, self.state = guard, host, folder / name
        self._config, self.log = folder / f"{name}.toml", folder / f"{name}.log"
        self._config.write_text(
            written(
                {
                    "broker": {"urls": ["amqp://127.0.0.1:1/"]},
                    "agent": {"id": name, "state_dir": str(self.state)},
                    "metrics": {"listen": ""},
                }
            )
        )
        self.command = [*host.inside, str(COMMAND), "run", "--config", str(self._config)]

    def start(self) -> Process:
        """Returns once it takes orders."""
        process = Process(self._guard, self.command, self.log)
        wait_for(lambda: '"action":"started"' in self.log.read_text().replace(" ", ""), within=15)
        return process

    def refused(self) -> str:
        done = subprocess.run(self.command, capture_output=True, text=True, timeout=15, check=False)
        assert done.returncode == 1, done.stderr
        return done.stderr


def test_a_second_agent_in_one_namespace_refuses_and_says_who_is_there(
    guard: Guard, network: Network, host: Host, tmp_path: Path
) -> None:
    """Its id, state folder and pid; the last also while it hangs. Another namespace has room, and a dead one's has."""
    first, second = An(guard, host, tmp_path, "first"), An(guard, host, tmp_path, "second")
    running = first.start()
    said = second.refused()
    wanted = f"an agent protects this network namespace already: first on web1, with the state folder {first.state}"
    assert f"{wanted} (pid {running.pid}); stop that one, or give this one a network of its own" in said
    assert not second.state.exists()
    network.host("web2", 12).call(_hold)
    running.signal(signal.SIGSTOP)
    assert f"it does not say which (pid {running.pid})" in second.refused()
    running.kill()
    second.start()


def _hold() -> None:
    with namespace.held(str):
        pass


def test_the_name_is_free_as_soon_as_it_is_let_go(host: Host) -> None:
    """A restart in one process, as tests do it, finds nobody there; and in between everybody is refused."""

    def twice() -> None:
        for _ in range(2):
            with namespace.held(lambda: "me"):
                for _ in range(2):
                    with (
                        pytest.raises(NamespaceInUse, match=rf"already: me \(pid {os.getpid()}\)"),
                        namespace.held(str),
                    ):
                        raise AssertionError("it was let in")

    host.call(twice)


def test_what_is_no_sentence_is_cut_and_cleaned(host: Host) -> None:
    """Who asks prints it on a terminal; and after one that can't be said, the next is."""
    words = iter(["a\x1b[2J" + "x" * 9_000, "me"])
    said = [lambda: next(words), lambda: str(1 // 0), lambda: next(words)]

    def hostile() -> None:
        with namespace.held(lambda: said.pop(0)()):
            for wanted in (r"a\[2Jx{490,500} \(pid", "does not say", r": me \(pid"):
                with pytest.raises(NamespaceInUse, match=wanted), namespace.held(str):
                    raise AssertionError("it was let in")

    host.call(hostile)


@pytest.fixture(params=["s.listen()", "pass", "s.listen(0)"])
def stranger(request, guard: Guard, host: Host, tmp_path: Path) -> Iterator[None]:
    """A program of an ordinary user that has the name."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    log = tmp_path / "stranger.log"
    Process(
        guard, [*host.inside, *user, "/usr/bin/python3", "-c", BIND.format(request.param) + "; time.sleep(60)"], log
    )
    wait_for(lambda: log.read_text() == "1\n", within=10)
    if request.param == "s.listen(0)":  # and lets nobody through
        host.call(_fill)
    yield
    _filling.clear()


_filling: list[socket.socket] = []


def _fill() -> None:
    while True:
        one = socket.socket(socket.AF_UNIX)
        _filling.append(one)
        one.setblocking(False)
        try:
            one.connect(namespace.NAME)
        except BlockingIOError:
            return


def test_an_ordinary_user_can_not_keep_a_host_without_an_agent(host: Host, stranger: None, monkeypatch) -> None:
    """Whatever they do with the name: it is said, and the agent runs."""
    monkeypatch.setattr(namespace, "PATIENCE", 0.1)
    with capture_logs() as logs:
        host.call(_hold)
    assert [each["action"] for each in logs] == ["namespace_not_held"]
