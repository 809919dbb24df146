"""What is installed is complete: the wheel alone, in an environment that has never seen this folder, does the work."""

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LINES = [
    f"Dec 10 06:55:{second:02} LabSZ sshd[24200]: Invalid user webmaster from 173.234.31.186 port {38_926 + second}"
    for second in range(8)
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this folder, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a command of an environment that holds the wheel and sees the locked packages; what it prints."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python3*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", str(wheel)], check=True, capture_output=True)
    # a line in a .pth file adds a folder, but reads no .pth files in it: the editable install there has no effect
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def command(*words: str) -> str:
        program = [str(folder / "bin" / words[0]), *words[1:]]
        done = subprocess.run(
            program, cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    """Three packages, marked as typed, with the rules as data; no tests, no scripts."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "manager",
        "agent",
        "shared",
        wheel.name.split("-py")[0] + ".dist-info",
    }
    for package in ("manager", "agent", "shared"):
        assert f"{package}/py.typed" in names
    assert any(name.startswith("manager/ruleset/rules/") and name.endswith(".xml") for name in names)
    assert any(name.startswith("manager/ruleset/decoders/") and name.endswith(".xml") for name in names)
    files = {str(path.relative_to(PROJECT)) for path in PROJECT.glob("manager/ruleset/**/*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name} <= set(names)


def test_what_runs_is_what_was_installed(run: Callable[..., str]) -> None:
    """The environment's own copy is imported, not this folder."""
    for package in ("manager", "agent", "shared"):
        where = run("python", "-c", f"import {package}; print({package}.__file__)")
        assert "environment" in where and str(PROJECT) not in where


@pytest.mark.parametrize("program", ["thwart", "thwart-agent"])
def test_the_programs_are_there(run: Callable[..., str], program: str) -> None:
    """Both answer to --help."""
    assert "Usage:" in run(program, "--help")


def test_the_daemons_can_be_imported(run: Callable[..., str]) -> None:
    """Every module of the three packages is there, and imports."""
    code = (
        "import importlib, pkgutil, manager, agent, shared\n"
        "for package in (manager, agent, shared):\n"
        "    for each in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(each.name)\n"
        "        print(each.name)\n"
    )
    names = run("python", "-c", code).split()
    assert {"agent.app", "manager.app", "shared.broker", "agent.logs.source"} <= set(names)


def test_a_log_is_correlated_with_the_rules_in_the_wheel(run: Callable[..., str], tmp_path: Path) -> None:
    """A brute-force attack in a log file is found, offline, by what was installed."""
    log = tmp_path / "auth.log"
    log.write_text("".join(f"{line}\n" for line in LINES))
    printed = run("thwart", "correlate", str(log), "--year", "2015", "-o", "json")
    alerts = [json.loads(line) for line in printed.splitlines()]
    assert "5712" in [each["rule"]["id"] for each in alerts if each["type"] == "alert"]
