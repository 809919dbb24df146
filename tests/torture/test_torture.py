"""The torture itself, as `scripts/torture` runs it; and that it fails where the promise is broken."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.torture.broken import BUILDS
from tests.torture.plan import broker_lives, cuts, echoes, lives, stories
from tests.torture.verdict import COLUMNS

pytestmark = [pytest.mark.root, pytest.mark.broker]
PROJECT = Path(__file__).parents[2]
LIMIT = 600  # s, for what takes a quarter of that on two processors that have nothing else to do


def torture(*options: str, within: float = LIMIT) -> tuple[int, dict[str, Any], str]:
    """The exit status, what it found, and what it told on the way."""
    command = [sys.executable, "-m", "tests.torture.torture", "-o", "json", *options]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=within, check=False)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


@pytest.mark.timeout(LIMIT + 10)
def test_two_hundred_kills() -> None:
    """Whatever is killed or cut off: every order reaches every agent, takes effect once, ends on time, is answered."""
    status, found, told = torture()
    assert status == 0, told
    assert found["counts"] == dict.fromkeys(COLUMNS, 0)
    assert sum(found["figures"]["kills"].values()) >= 200
    assert found["figures"]["kills"].keys() == {"agent", "manager", "broker"}
    assert found["figures"]["answers"] > 500, "it has to have had something to do"


@pytest.mark.full
@pytest.mark.timeout(2_000)
def test_a_thousand_kills() -> None:
    """The same for longer, on more agents."""
    status, found, told = torture("--full", "--agents", "4", within=1_990)
    assert status == 0, told
    assert sum(found["figures"]["kills"].values()) >= 1_000


@pytest.mark.full
@pytest.mark.timeout(LIMIT + 10)
@pytest.mark.parametrize(("build", "column"), [("ack-before-commit", "lost"), ("lost-tombstone", "overstayed")])
def test_a_broken_build_is_found_out(build: str, column: str) -> None:
    """Agents that break the promise end it with 1, and it says what is wrong and how to do it again."""
    status, found, told = torture("--build", build, "--kills", "150")
    assert status == 1, told
    assert found["counts"][column] > 0, told
    assert f"--seed {found['seed']}" in told
    assert f"--build {build}" in told


def test_the_builds_are_the_real_ones_but_for_one_part() -> None:
    """Both that are tried are there."""
    assert set(BUILDS) == {"ack-before-commit", "lost-tombstone"}


@pytest.mark.parametrize(
    "actor",
    [
        lambda seed: stories(seed, ["web1", "web2"], 3.0),
        lambda seed: lives(seed, "web1"),
        lambda seed: broker_lives(seed),
        lambda seed: cuts(seed, ["web1", "web2"]),
        lambda seed: echoes(seed),
    ],
    ids=("stories", "lives", "lives of the broker", "cuts", "echoes"),
)
def test_a_seed_is_a_plan(actor) -> None:
    """The same seed gives the same actions with the same pauses, another one others."""
    first, again, other = (actor(seed) for seed in (1, 1, 2))
    planned = [next(first) for _ in range(100)]
    assert planned == [next(again) for _ in range(100)]
    assert planned != [next(other) for _ in range(100)]
