"""`scripts/demo` shows the main job for real, admits what did not happen, and leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stage.fleet import OSSEC_CONF
from tests.stage.guard import NETNS
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
EVERYONE = {"manager1", "web1", "web2"}
STAGES = {"line_to_order", "order_to_applied", "line_to_applied"}
FIRST_CHAPTER = "1. An attack"
LONGEST = 90.0  # s, by promise


class Run:
    """A demo in a process of its own, whose folder is made in `scratch`."""

    def __init__(self, scratch: Path, *options: str) -> None:
        self.scratch = scratch
        self.process = subprocess.Popen(
            [ROOT / "scripts" / "demo", "--yes", "--json", *options],
            cwd="/",
            env={**os.environ, "TMPDIR": str(scratch)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read_until(self, words: str) -> None:
        """Follows the story up to a line with these words."""
        assert self.process.stderr is not None
        assert any(words in line for line in self.process.stderr), f"ended before {words!r}"

    def end(self) -> tuple[int, dict[str, Any]]:
        """Its exit status, and what it put on standard output, which must be one JSON object."""
        output, _ = self.process.communicate(timeout=150)
        (line,) = output.splitlines()
        return self.process.returncode, json.loads(line)

    def left(self) -> list[str]:
        """Folders, namespaces and processes of this run."""
        folders = [str(path) for path in self.scratch.iterdir()]
        namespaces = [name for name in os.listdir(NETNS) if f".{self.process.pid}." in name] if NETNS.exists() else []
        return [*folders, *namespaces, *_processes_in(self.scratch)]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A short path: a socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        yield Path(folder)


@pytest.fixture
def start(scratch: Path) -> Iterator[Callable[..., Run]]:
    """Starts demos, and ends those that a failed test left."""
    runs: list[Run] = []

    def begin(*options: str) -> Run:
        runs.append(Run(scratch, *options))
        return runs[-1]

    yield begin
    for run in runs:
        run.process.kill()
        run.process.communicate()


@pytest.mark.root
@pytest.mark.broker
@pytest.mark.timeout(180)
def test_the_main_job_happens_for_real(start: Callable[..., Run]) -> None:
    """Attack, orders for all four locations, answers, expiry, escalation: each step, within 90 s, nothing left."""
    run = start()
    status, record = run.end()
    assert status == 0, [step for step in record["steps"] if not step["ok"]]
    assert all(step["ok"] and step["at"] for step in record["steps"])
    assert record["took_s"] <= LONGEST
    assert run.left() == []
    _check_orders(record["orders"])
    _check_answers(record)
    assert set(record["latency_ms"]) == EVERYONE
    for stages in record["latency_ms"].values():
        assert set(stages) == STAGES
        assert 0 < stages["line_to_applied"] < 1_000, stages


def _check_orders(orders: list[dict[str, Any]]) -> None:
    by_offence = {number: [order for order in orders if order["offence"] == number] for number in (1, 2)}
    assert sorted(order["location"] for order in by_offence[1]) == ["agent", "all", "local", "server"]
    assert sorted(order["location"] for order in by_offence[2]) == ["agent", "local", "server"]
    assert {order["timeout"] for order in by_offence[1]} == {5.0}
    assert {order["timeout"] for order in by_offence[2]} == {10.0}
    assert {order["rule_id"] for order in orders if order["location"] == "all"} == {"5763"}


def _check_answers(record: dict[str, Any]) -> None:
    answered = [(answer["order_id"], answer["agent_id"]) for answer in record["acknowledgements"]]
    ended = [(end["order_id"], end["agent_id"]) for end in record["expiries"]]
    assert len(answered) == len(set(answered)) == 4 + 3 + 4  # web1 twice, web2, manager1; each of `all`; again
    assert sorted(ended) == sorted(answered)
    assert {answer["status"] for answer in record["acknowledgements"]} <= {"applied", "unchanged"}


@pytest.mark.root
@pytest.mark.broker
@pytest.mark.timeout(180)
def test_a_response_that_is_missing_is_admitted(start: Callable[..., Run], tmp_path: Path) -> None:
    """Without the `server` response the demo says that it wasn't ordered, and fails."""
    broken = tmp_path / "ossec.conf"
    broken.write_text(OSSEC_CONF.read_text().replace("<location>server</location>", "<location>local</location>"))
    run = start("--ossec-conf", str(broken))
    status, record = run.end()
    assert status == 1
    assert not record["ok"]
    assert [step["name"] for step in record["steps"] if not step["ok"] and step["at"]] == ["first: ordered"]
    assert run.left() == []


@pytest.mark.root
@pytest.mark.broker
@pytest.mark.timeout(180)
def test_an_agent_that_dies_is_admitted(start: Callable[..., Run]) -> None:
    """With web2's agent killed before the attack, the demo doesn't claim that web2 is protected."""
    run = start()
    run.read_until(FIRST_CHAPTER)
    (agent,) = wait_for(lambda: _processes_in(run.scratch, "thwart-agent", "agent-web2"))
    os.kill(int(agent), signal.SIGKILL)
    status, record = run.end()
    assert status == 1
    failed = [step["name"] for step in record["steps"] if not step["ok"] and step["at"]]
    assert failed == ["first: applied"]
    assert run.left() == []


@pytest.mark.root
@pytest.mark.broker
@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_cleans_up_and_says_so(start: Callable[..., Run], number: signal.Signals) -> None:
    """Ctrl-C in the middle removes everything, and isn't success."""
    run = start()
    run.read_until(FIRST_CHAPTER)
    run.process.send_signal(number)
    status, record = run.end()
    assert status == 128 + number
    assert not record["ok"]
    assert run.left() == []


@pytest.mark.root
@pytest.mark.broker
@pytest.mark.timeout(180)
def test_a_killed_demo_leaves_nothing(start: Callable[..., Run]) -> None:
    """SIGKILL gives the demo no chance to clean up, and still nothing is left."""
    run = start()
    run.read_until(FIRST_CHAPTER)
    assert len(run.left()) > 10
    run.process.kill()
    run.process.wait()
    wait_for(lambda: run.left() == [], within=20)


@pytest.mark.root
def test_without_root_it_says_at_once_what_to_do() -> None:
    """Who isn't root is told why, within two seconds, and gets an offline command that works."""
    refused = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", ROOT / "scripts" / "demo"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=2,
    )
    assert refused.returncode == 1
    assert "takes root" in refused.stderr
    offered = re.search(r"^ *(\.venv/bin/thwart correlate .*)$", refused.stderr, re.MULTILINE)
    assert offered
    shown = subprocess.run(offered[1].split(), cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert "firewall-drop 203.0.113.66" in shown.stdout
    assert "firewall-drop 203.0.113.77" in shown.stdout


@pytest.mark.root
def test_without_the_right_to_change_networks_it_says_so() -> None:
    """Root in a container without CAP_NET_ADMIN is told so, and nothing is tried."""
    refused = subprocess.run(
        ["setpriv", "--inh-caps", "-net_admin", "--bounding-set", "-net_admin", ROOT / "scripts" / "demo"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=2,
    )
    assert refused.returncode == 1
    assert "CAP_NET_ADMIN" in refused.stderr


def _processes_in(folder: Path, *words: str) -> list[str]:
    """The pids of processes that `folder`, and all of `words`, are on the command line of."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text(errors="replace")
        except OSError:
            continue
        if all(word in command for word in (f"{folder}/", *words)):
            found.append(process.name)
    return found
