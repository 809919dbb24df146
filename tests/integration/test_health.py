"""Real daemons and what they show of themselves: health at the terminal and over HTTP, figures, words for systemd."""

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.a_manager_daemon import Hands, RunningManager
from tests.integration.an_agent import COMMAND, AnAgent, an_order
from tests.stage.broker import Broker
from tests.stage.guard import Guard
from tests.unit.test_metrics import coded_words, described
from tests.waiting import eventually, wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]

NOWHERE = "amqp://guest:guest@127.0.0.1:1/"


class Systemd:
    """Its end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def has(self, word: str) -> bool:
        """Whether a line that begins so has come since `forget`."""
        try:
            while True:
                self.heard += self.socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return any(each.startswith(word) for each in self.heard)

    def forget(self) -> None:
        self.has("")
        self.heard.clear()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    """Daemons that the test starts talk to it, and have to every second."""
    one = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    yield one
    one.socket.close()


@pytest.fixture
def agent(systemd: Systemd, agent: AnAgent) -> AnAgent:
    return agent


def ask_agent(agent: AnAgent, *words: str) -> subprocess.CompletedProcess[str]:
    """`thwart-agent health` on that host."""
    command = [str(COMMAND), "health", "--config", str(agent.config), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def is_clean(figures: str) -> None:
    """What `promtool check metrics` has to say of it: nothing."""
    said = subprocess.run(
        ["promtool", "check", "metrics"], input=figures, capture_output=True, text=True, timeout=30, check=False
    )
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


async def test_an_agent_from_start_to_end(agent: AnAgent, systemd: Systemd) -> None:
    """Ready with the broker, its figures are those of the table, and systemd hears of start, life and end."""
    assert ask_agent(agent).returncode == 3
    await agent.started()
    assert await eventually(lambda: systemd.has("READY=1"))
    assert await eventually(lambda: systemd.has("STATUS=takes orders as web1"))
    assert await eventually(lambda: systemd.has("WATCHDOG=1"))
    said = ask_agent(agent, "-o", "json")
    assert (said.returncode, json.loads(said.stdout)) == (0, {"live": True, "ready": True, "why": [], "notes": []})
    order = an_order("o1")
    await agent.send(order)
    await agent.answered(order)
    figures = agent.metrics()
    is_clean(figures)
    assert coded_words(figures) <= set(described("An agent's"))
    page = agent.logged("metrics")[-1]["address"].replace("/metrics", "/ready")
    answer = await asyncio.to_thread(httpx.get, page, trust_env=False)
    assert answer.json() == {"ready": True, "why": []}
    agent.stop()
    assert systemd.has("STOPPING=1")


def without_broker(agent: AnAgent) -> None:
    text = agent.config.read_text()
    url = next(line for line in text.splitlines() if line.startswith("urls"))
    agent.config.write_text(text.replace(url, f'urls = ["{NOWHERE}"]'))


async def test_an_agent_without_a_broker_is_live_and_not_ready(agent: AnAgent, systemd: Systemd) -> None:
    """It has started, as far as systemd is concerned. Stopped in its tracks it is dead, and the watchdog sees it."""
    without_broker(agent)
    agent.start()
    assert await eventually(lambda: systemd.has("READY=1"), 15)
    assert systemd.has("STATUS=the broker can't be reached")
    assert ask_agent(agent, "--live").returncode == 0
    said = ask_agent(agent)
    assert (said.returncode, "live, not ready" in said.stdout) == (1, True)
    agent.process.signal(signal.SIGSTOP)
    systemd.forget()
    said = ask_agent(agent, "--live", "-o", "json")
    assert said.returncode == 1
    assert json.loads(said.stdout)["why"] == ["no answer within 6 s: it hangs, or is stopped"]
    assert not systemd.has("WATCHDOG=1")
    agent.process.signal(signal.SIGCONT)
    assert await eventually(lambda: ask_agent(agent, "--live").returncode == 0, 10)


def test_a_manager_from_start_to_end(systemd: Systemd, guard: Guard, broker: Broker, tmp_path: Path) -> None:
    """A reload is told with the instant that systemd asks for, also when the files are refused."""
    manager = RunningManager(guard, broker, tmp_path, manager_answer_objective=0.7)
    assert manager.thwart("health").returncode == 3
    manager.start()
    assert wait_for(lambda: systemd.has("READY=1"))
    assert wait_for(lambda: manager.thwart("health").returncode == 0, 15)
    assert wait_for(lambda: systemd.has("STATUS=0 of 0 agents living"))
    assert wait_for(lambda: systemd.has("WATCHDOG=1"))
    for path in ("/live", "/ready"):
        assert manager.call("GET", path, headers={}).status_code == 200
    figures = httpx.get(f"{manager.url}/metrics", trust_env=False).text
    is_clean(figures)
    assert coded_words(figures) <= set(described("The manager's"))
    assert manager.metric('thwart_order_answer_seconds_bucket{le="0.7"}') == 0
    assert manager.metric("thwart_order_answer_objective_seconds") == 0.7
    systemd.forget()
    (tmp_path / "ossec.conf").write_text("<ossec_config><active-response>")
    assert manager.process is not None
    manager.process.signal(signal.SIGHUP)
    assert wait_for(lambda: systemd.has("READY=1"))
    words = [each.partition("=")[0] for each in systemd.heard if not each.startswith(("WATCHDOG", "STATUS"))]
    assert words == ["RELOADING", "MONOTONIC_USEC", "READY"]
    manager.stop()
    assert systemd.has("STOPPING=1")


def test_a_manager_without_a_broker_is_live_and_not_ready(guard: Guard, broker: Broker, tmp_path: Path) -> None:
    """With why, for whom it is asked; `--live` goes by the one and the rest by the other."""
    manager = RunningManager(guard, broker, tmp_path, broker_urls=NOWHERE)
    manager.start()
    assert manager.call("GET", "/live", headers={}).json() == {"live": True, "why": []}
    ready = manager.call("GET", "/ready", headers={})
    assert (ready.status_code, "for orders, events, logs" in ready.json()["why"][0]) == (503, True)
    assert manager.thwart("health", "--live").returncode == 0
    assert manager.thwart("health", "-o", "json").returncode == 1


def test_who_has_the_token_hears_more(guard: Guard, broker: Broker, tmp_path: Path) -> None:
    """A pause and by whom, and what waits to be sent; without the token not a word, and the same exit code."""
    manager = RunningManager(guard, broker, tmp_path, broker_urls=NOWHERE)
    manager.start()
    manager.thwart("pause", "--reason", "the auditors")
    told, untold = manager.thwart("health"), manager.thwart("health", THWART_API_TOKEN_FILE="/nowhere")
    assert "by operator: the auditors; nothing but lifts is sent" in told.stdout
    assert "unsent: 1 message" in told.stdout
    assert told.stdout.startswith(untold.stdout)
    assert (untold.returncode, untold.stderr) == (told.returncode, "") == (1, "")
    manager.folder.joinpath("state", "api.token").write_text("ann another-token-0123456789")
    assert manager.thwart("health").stdout == untold.stdout
    assert json.loads(manager.thwart("health", "-o", "json").stdout)["notes"] == []


async def test_what_agents_owe_is_shown(guard: Guard, broker: Broker, tmp_path: Path) -> None:
    """Overdue for a living agent, and how old the oldest is; the answer ends both."""
    manager = RunningManager(guard, broker, tmp_path, manager_answer_within=0.2)
    manager.start()
    async with Hands(broker, "web1") as hands:
        await hands.beat("web1")
        await eventually(lambda: manager.metric('thwart_agents{state="living"}') == 1)
        await asyncio.to_thread(manager.thwart, "block", "203.0.113.9", "--agent", "web1", "--no-wait")
        await eventually(lambda: manager.metric("thwart_overdue_answers") == 1)
        assert 0.2 < manager.metric("thwart_oldest_unanswered_seconds") < 60
        await hands.answer(await hands.order("web1"), "web1")
        await eventually(lambda: manager.metric("thwart_overdue_answers") == 0)
        assert manager.metric("thwart_oldest_unanswered_seconds") == 0
