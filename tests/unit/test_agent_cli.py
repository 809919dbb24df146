"""`thwart-agent` on the command line: what scripts rely on."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import alone, folder
from agent.cli import main
from agent.control import LiftAnswer, LiftRequest
from agent.journal.times import Now
from agent.journal.views import effects
from shared import log
from shared.folder import LOCK
from shared.settings import AgentSettings
from tests.unit.a_host import ATTACKER, AHost

COMMAND = str(Path(sys.executable).with_name("thwart-agent"))


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    everything = {**os.environ, **environment}
    return subprocess.run([COMMAND, *words], capture_output=True, text=True, env=everything, timeout=30, check=False)


def test_help_has_examples() -> None:
    """Who asks for help sees what to type."""
    assert "thwart-agent lift 203.0.113.9" in run("--help").stdout


@pytest.mark.parametrize(
    "words, code, says",
    [
        (["lift"], 2, "name a TARGET, or say --all"),
        (["lift", "203.0.113.9", "--all"], 2, "name a TARGET, or say --all"),
        (["lift", " "], 2, "name a TARGET, or say --all"),
        (["lift", "", "--all"], 2, "name a TARGET, or say --all"),
        (["effects", "--config", "/nowhere.toml"], 2, "/nowhere.toml: No such file"),
        (["effects"], 1, "no agent has run with this state_dir"),
        (["run", "--nonsense"], 2, "No such option"),
    ],
)
def test_mistakes_have_their_exit_codes(tmp_path: Path, words: list[str], code: int, says: str) -> None:
    """2 for wrong usage and settings, 1 for what could not be done, and a sentence that says what to do."""
    done = run(*words, THWART_AGENT_STATE_DIR=str(tmp_path))
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["203.0.113.999", "1.2", "1/2", "ab:cd", "alice"])
def test_what_is_no_address_is_looked_for_as_a_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A script's target may be any word that `effects` shows; who mistypes an address hears that nothing is there."""
    asked: list[LiftRequest] = []

    async def nothing(settings: AgentSettings, request: LiftRequest) -> LiftAnswer:
        asked.append(request)
        return LiftAnswer()

    monkeypatch.setattr(alone, "lift_here", nothing)
    monkeypatch.setattr(log, "configure", lambda settings: None)  # it is this process's
    done = CliRunner().invoke(main, ["lift", name])
    assert (done.exit_code, done.stdout) == (0, f"nothing is in force on {name}\n"), done.output
    assert asked == [LiftRequest(target=name)]


async def test_effects_are_shown_from_the_journal_alone(tmp_path: Path) -> None:
    """As JSON with instants, as a table with what is left; the daemon need not run."""
    host = AHost(tmp_path)
    host.clock.wall_at = time.time()
    await host.do(host.add("o1", timeout=7_200.0), host.add("o2", timeout=60.0), host.add("o3", "2001:db8::1", None))
    host.close()
    settings = {"THWART_AGENT_STATE_DIR": str(tmp_path)}
    first, second = json.loads(run("effects", "-o", "json", **settings).stdout)
    assert (first["target"], first["expires_at"], first["orders"]) == ("2001:db8::1", None, ["o3"])
    assert second["expires_at"] == pytest.approx(host.clock.wall_at + 7_200.0, abs=30)
    table = run("effects", **settings).stdout
    assert ATTACKER in table and "o1, o2" in table
    assert "until lifted" in table


async def test_what_is_left_is_right_after_a_reboot_before_the_daemon_ran(tmp_path: Path) -> None:
    """The wall clock decides then, as it will for the daemon."""
    host = AHost(tmp_path)
    await host.do(host.add("o1", timeout=600.0))
    host.close()
    (one,) = effects(host.path, "another boot", Now(wall=host.clock.wall() + 100.0, boot=5.0))
    assert one.expires_at == pytest.approx(host.clock.wall() + 600.0)


def test_a_dead_owners_folder_is_free(tmp_path: Path) -> None:
    """The lock ends with the process that had it, however that ended."""
    for _ in range(2):
        with folder.owned(tmp_path / "state"):
            assert (tmp_path / "state" / LOCK).read_text() == f"{os.getpid()}\n"
