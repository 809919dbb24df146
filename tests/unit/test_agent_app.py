"""What the agent says about itself without having a broker."""

import asyncio
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent import app, identity, sidecar, tasks
from agent.journal.journal import Journal
from agent.journal.planning import Turn
from agent.metrics import AgentMetrics
from agent.sidecar import Sidecar
from shared.errors import FolderInUse, LeftBehind, SettingsError, StoreDamaged
from shared.settings import AgentSettings, HostSettings, MetricsSettings
from tests.stage.fake_action import FakeAction
from tests.stage.only import only
from tests.unit.a_host import HostClock
from tests.waiting import eventually


def settings(state: Path, **agent: object) -> AgentSettings:
    return AgentSettings(agent=HostSettings(state_dir=str(state), **agent), metrics=MetricsSettings(listen=""))


@pytest.mark.parametrize(
    "given, id_",
    [("web1", "web1"), ("1", "001"), ("0017", "017"), ("12345", "12345"), (None, "db7-example-com")],
)
def test_an_agents_id_is_one_word_and_wazuhs_numbers_have_one_spelling(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str | None, id_: str
) -> None:
    """Without one in the settings it is made of the host's name."""
    monkeypatch.setattr("agent.host.hostname", lambda: "db7.example.com")
    assert identity.settled(settings(tmp_path, id=given)) == identity.known(settings(tmp_path, id=given)) == id_


async def test_another_host_with_this_id_is_said_out_loud() -> None:
    """And shown in a metric, until that one stops; a link of our own that died is given the time to be noticed."""
    consumer, metrics = SimpleNamespace(lock_refused_since=None, heartbeat=0.01), AgentMetrics()
    with capture_logs() as logs:
        watching = asyncio.create_task(tasks.watch_lock(consumer, "web1", metrics))
        await asyncio.wait([watching], timeout=0.1)
        assert logs == []
        consumer.lock_refused_since = time.monotonic()
        said = await eventually(lambda: logs)
    assert "another host is running an agent with the id web1" in said[0]["event"]
    assert time.monotonic() - consumer.lock_refused_since >= 0.04
    assert metrics.registry.get_sample_value("thwart_id_taken") == 1
    consumer.lock_refused_since = None
    await eventually(lambda: metrics.registry.get_sample_value("thwart_id_taken") == 0)
    watching.cancel()


async def test_a_start_that_cannot_be_says_why(tmp_path: Path) -> None:
    """An allowlist that is none, a folder that another agent has."""
    with pytest.raises(SettingsError, match=r"agent\.allow: 'nonsense' is not"):
        await app.run(settings(tmp_path, allow=("nonsense",)))
    with app.folder.owned(tmp_path), pytest.raises(FolderInUse):
        await app.run(settings(tmp_path))


async def test_a_host_that_can_carry_nothing_out_says_so_and_looks_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is there, for a manager has to hear of it, and what is installed meanwhile is used."""
    monkeypatch.setattr(app, "LOOK", 0.05)
    action = FakeAction(HostClock())
    action.missing = "nft: not found; install nftables"
    with capture_logs() as logs:
        running = asyncio.create_task(app.run(settings(tmp_path), parts=app.Parts(actions=only(action))))
        await eventually(lambda: [each for each in logs if each.get("action") == "started"])
        action.missing = ""
        await eventually(lambda: [each for each in logs if each.get("action") == "trouble_over"])
        running.cancel()
        await asyncio.wait([running])
    said, _ = [each["event"] for each in logs if each.get("trouble") == "firewall"]
    assert said == "firewall-drop can't be carried out on this host: fake: nft: not found; install nftables"


class SpoiltJournal(Journal):
    """Whose file can't be read any more once it was read for the first time."""

    async def plan(self, **how: Any) -> Turn:
        if hasattr(self, "was_read"):
            raise StoreDamaged(f"{self.store.path}: database disk image is malformed", path=self.store.path)
        self.was_read = True
        return await super().plan(**how)


async def test_a_journal_that_is_damaged_while_the_agent_runs_ends_it(tmp_path: Path) -> None:
    """It is set aside; the next start makes a new one, and says so in its heartbeats for as long as it lies there."""
    parts = app.Parts(actions=only(FakeAction(HostClock())), journal=SpoiltJournal)
    with pytest.raises(StoreDamaged, match=r"it is .*damaged-.* now, start the agent again"):
        await asyncio.wait_for(app.run(settings(tmp_path), parts=parts), 10)
    (aside,) = app.folder.aside(tmp_path)
    assert aside.stat().st_size > 0
    assert not (tmp_path / app.folder.JOURNAL).exists()
    with capture_logs() as logs:
        running = asyncio.create_task(
            app.run(settings(tmp_path), parts=app.Parts(actions=only(FakeAction(HostClock()))))
        )
        said = await eventually(lambda: [each for each in logs if each.get("trouble") == aside.name])
        running.cancel()
        await asyncio.wait([running])
    assert said[0]["event"] == f"{aside} was damaged and is set aside; remove it once you have looked at it"


async def test_a_network_that_is_lost_before_the_agent_has_begun_ends_it_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The container whose network it shares may crash at its start, while the agent still looks what its host has."""
    hosts = tmp_path / "hosts"
    hosts.write_text("172.18.0.2 web1\n")

    class Meanwhile(FakeAction):
        def prepare(self) -> None:
            super().prepare()
            hosts.write_text("172.18.0.3 web1\n")

    lost = partial(Sidecar, hosts=hosts, name=lambda: "web1", addresses=list)
    monkeypatch.setattr(app, "Sidecar", lost)
    monkeypatch.setattr(sidecar, "LOOK", 0.01)
    monkeypatch.setattr(sidecar, "STEADY", 0.01)
    parts = app.Parts(actions=only(Meanwhile(HostClock())))
    with pytest.raises(LeftBehind):
        await asyncio.wait_for(app.run(settings(tmp_path / "state"), parts=parts), 30)
