"""The units as they are written: how little they leave open, and that they agree with the daemons' own times."""

import shutil
import subprocess
from pathlib import Path

import pytest

from agent import app as agent_app
from manager import app as manager_app
from shared.settings import HostSettings, RespondSettings

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
AGENT, MANAGER = UNITS / "thwart-agent.service", UNITS / "thwart-manager.service"
DROP_INS = sorted((UNITS / "drop-ins").glob("*.conf"))
EXPOSED = {AGENT: 1.8, MANAGER: 1.1}  # 0 to 10; systemd 257 reckons a tenth less than 252


def read(path: Path) -> dict[str, list[str]]:
    """Its settings; of those that may be there several times all."""
    lines = [line.partition("=") for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return {name: [value for each, _, value in lines if each == name] for name, _, _ in lines}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze: not found")
@pytest.mark.parametrize("unit", EXPOSED, ids=lambda unit: unit.name)
def test_they_leave_little_open(unit: Path) -> None:
    """What `systemd-analyze security --offline` reckons is no more than it was."""
    limit = str(round(EXPOSED[unit] * 10))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={limit}", str(unit)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


def test_the_state_is_where_the_daemons_look_for_it() -> None:
    """The folder that systemd makes is the one of the settings' default, and for its owner alone."""
    for unit, settings in ((AGENT, HostSettings()), (MANAGER, RespondSettings())):
        shown = read(unit)
        assert f"/var/lib/{shown['StateDirectory'][0]}" == settings.state_dir
        assert shown["StateDirectoryMode"] == ["0700"]


def test_systemd_waits_for_a_daemon_to_end_in_order() -> None:
    """Nobody is killed who is still saying what there is to say, or ends scripts."""
    for unit, takes in ((AGENT, agent_app.SCRIPTS_END + agent_app.LAST_WORDS), (MANAGER, manager_app.FAREWELL)):
        assert float(read(unit)["TimeoutStopSec"][0]) >= 2 * takes


@pytest.mark.parametrize("path", DROP_INS, ids=lambda path: path.stem)
def test_a_drop_in_says_what_it_is_for_and_takes_nothing_away(path: Path) -> None:
    """Its first line says why, and it only adds to lists: no setting of it empties one, but for what it must open."""
    assert path.read_text().startswith("# ")
    for name, values in read(path).items():
        assert "" not in values
        assert name in ("CapabilityBoundingSet", "SystemCallFilter", "ReadWritePaths", "ExecStartPre") or (
            name,
            values,
        ) in (("ProtectProc", ["default"]), ("UMask", ["0022"]))
