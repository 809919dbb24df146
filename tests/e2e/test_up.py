"""`thwart up`: a host's whole in one command, and what becomes of it when any part of it ends."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from tests.stage.fleet import COMMANDS, RULES
from tests.stage.guard import Guard
from tests.stage.network import Host, Network
from tests.stage.process import Process
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]

ATTACKER = "203.0.113.9"
RESPONSES = """\
<ossec_config>
  <command><name>firewall-drop</name><executable>firewall-drop</executable></command>
  <active-response>
    <command>firewall-drop</command><location>local</location><rules_id>5712</rules_id><timeout>600</timeout>
  </active-response>
</ossec_config>
"""
READY = 60.0  # s for all of it to run, on a busy machine


class Up:
    """One host, its state folder and its auth.log."""

    def __init__(self, guard: Guard, host: Host, folder: Path) -> None:
        self.guard, self.host, self.folder, self.state = guard, host, folder, folder / "state"
        self.auth_log, self.printed = folder / "auth.log", folder / "printed"
        self.auth_log.touch()
        (folder / "ossec.conf").write_text(RESPONSES)
        self.process: Process

    def start(self, *options: str) -> None:
        """Returns when it says that all of it runs."""
        self.printed.write_text("")
        self.process = Process(self.guard, self.command(*options), self.printed)
        wait_for(lambda: "In another terminal" in self.said() or not self.process.running, READY)
        assert self.process.running, self.said()

    def command(self, *options: str) -> list[str]:
        """In the host's network."""
        words = ["--state", str(self.state), "--log", str(self.auth_log), "--rules", str(RULES), *options]
        config = ["--config", str(self.folder / "ossec.conf")]
        return [*self.host.inside, str(COMMANDS / "thwart"), "up", *config, *words]

    def said(self) -> str:
        return self.printed.read_text()

    def attack(self) -> None:
        """Lines as an attacker's tries leave them."""
        with self.auth_log.open("a") as log:
            for port in range(5):
                now = datetime.now().astimezone().isoformat()
                log.write(f"{now} box sshd[1]: Invalid user admin from {ATTACKER} port {4_000 + port}\n")

    def blocked(self) -> bool:
        """By the kernel's word."""
        return ATTACKER in self.host.run("nft", "list", "ruleset")

    def parts(self) -> dict[str, int]:
        """The pid of each part that lives, by what its command line holds."""
        words = {"agent": "thwart-agent", "manager": "manager.toml", "node": "beam.smp", "epmd": "epmd"}
        found = {}
        for pid in _living():
            line = _of(pid, "cmdline").replace("\0", " ")
            if str(self.state) in line + _of(pid, "cwd") and not line.startswith("timeout"):
                found |= {name: pid for name, word in words.items() if word in line and "thwart up" not in line}
        return found


@pytest.fixture
def up(guard: Guard, network: Network, tmp_path: Path) -> Iterator[Up]:
    one = Up(guard, network.host("box", 2), tmp_path)
    yield one
    if one.process.running:
        one.process.kill()


def test_an_attack_is_blocked_and_stays_so_after_ctrl_c(up: Up) -> None:
    """From a line in auth.log to the kernel with one command; the commands that it names work; Ctrl-C ends all of it
    in order, and the block stays.
    """
    up.start()
    up.attack()
    wait_for(up.blocked, 10)
    export = next(line for line in up.said().splitlines() if "export" in line).split()[1:]
    assert ATTACKER in up.host.run("env", *export, str(COMMANDS / "thwart"), "blocks")
    assert ATTACKER in up.host.run(str(COMMANDS / "thwart-agent"), "effects", "--config", str(up.state / "agent.toml"))
    secrets = ["agent.toml", "manager.toml", "broker/password", "broker/definitions.json", "manager/api.token"]
    assert {oct((up.state / each).stat().st_mode & 0o777) for each in secrets} == {"0o600"}

    again = subprocess.run(up.command("--api-port", "0"), capture_output=True, text=True, timeout=30)
    assert again.returncode == 1
    assert f"{up.state} belongs to another process" in again.stderr

    up.process.signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    stops = [line for line in up.said().splitlines() if line.startswith("thwart up: stopping")]
    assert [line.rpartition(" ")[2] for line in stops] == ["agent", "manager", "node"]
    assert up.parts() == {}
    assert up.blocked()


@pytest.mark.parametrize("part", ["agent", "manager", "node"])
def test_a_part_that_ends_ends_all(up: Up, part: str) -> None:
    """Whichever part is killed: the others stop, a sentence names it, and the exit code is 1."""
    up.start()
    os.kill(up.parts()[part], signal.SIGKILL)
    wait_for(lambda: "stopping" in up.said(), 10)
    up.process.signal(signal.SIGINT)  # impatience is not the reason
    assert up.process.wait(60) == 1
    assert part in up.said().splitlines()[-1]
    assert "ended by itself" in up.said().splitlines()[-1]
    assert up.parts() == {}


def test_killing_it_leaves_no_orphan_and_the_next_start_goes_on(up: Up) -> None:
    """SIGKILL of `thwart up` takes every part along at once; the next start has the same ledger and journal."""
    up.start()
    up.attack()
    wait_for(up.blocked, 10)
    up.process.kill()
    wait_for(lambda: up.parts() == {}, 5)
    up.start()
    effects = up.host.run(str(COMMANDS / "thwart-agent"), "effects", "--config", str(up.state / "agent.toml"))
    assert ATTACKER in effects


@pytest.mark.parametrize(
    ("break_it", "code", "words"),
    [
        (lambda up: (up.folder / "ossec.conf").write_text("<ossec_config>"), 2, "ossec.conf:1"),
        (lambda up: (up.folder / "ossec.conf").unlink(), 2, "ossec.conf"),
    ],
)
def test_a_mistake_is_said_before_anything_runs(
    up: Up, break_it: Callable[[Up], object], code: int, words: str
) -> None:
    """A configuration that can't be read ends it at once, with file and line."""
    break_it(up)
    up.process = Process(up.guard, up.command(), up.printed)
    assert up.process.wait(20) == code
    assert words in up.said()
    assert not up.state.exists()


def _living() -> list[int]:
    return [int(each) for each in os.listdir("/proc") if each.isdecimal() and _of(int(each), "cmdline")]


def _of(pid: int, what: str) -> str:
    with suppress(OSError):
        path = Path(f"/proc/{pid}/{what}")
        return str(path.readlink()) if what == "cwd" else path.read_text(errors="replace")
    return ""
