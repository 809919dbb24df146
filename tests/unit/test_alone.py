"""What a person asks with no agent at work: whatever comes of it, nothing that was begun for it goes on."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.actions.catalogue import Candidate
from agent.actions.choice import Actions
from agent.actions.scripts.scripts import MARK
from agent.actions.tools.process import Limits
from agent.alone import lift_here, try_here
from agent.app import Parts
from agent.control import LiftRequest
from agent.journal.journal import Journal
from agent.trials import TrialRequest
from shared.errors import StoreError
from shared.settings import AgentSettings, HostSettings
from tests.stage.fake_action import FakeAction
from tests.unit.a_host import AGENT, ATTACKER
from tests.unit.a_script_host import ScriptHost
from tests.waiting import eventually

NOTES = 'read -r line; echo "$line" >> said\n'
HANGS_AT_THE_END = "read -r line; case $line in *delete*) echo $$ > pid; sleep 60;; esac\n"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ScriptHost]:
    """One whose agent has been there and is gone."""
    one = ScriptHost(tmp_path, Limits(whole=10.0, grace=5.0))
    yield one
    one.close()


def settings(host: ScriptHost, patience: float = 10.0) -> AgentSettings:
    folder = str(host.path.parent)
    return AgentSettings(
        agent=HostSettings(id=AGENT, scripts=str(host.scripts_folder), state_dir=folder, script_timeout=patience)
    )


def parts(host: ScriptHost, journal: type[Journal] = Journal) -> Parts:
    """The host's own, with no firewall but the one that keeps books."""
    catalogue = {"firewall-drop": (Candidate(lambda _: FakeAction(host.clock)),)}
    return Parts(
        clock=lambda: host.clock,
        actions=lambda some: Actions(some, catalogue),
        journal=lambda store, mine, _, clock: journal(store, mine, host.boot_id, clock),
    )


def left_by_an_agent(host: ScriptHost, script: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, MARK: str(host.path.parent.resolve())}
    return subprocess.Popen([str(script)], env=environment, start_new_session=True)


async def test_a_lift_that_fails_leaves_nothing_at_work(host: ScriptHost) -> None:
    """The journal's disk is gone while a script is out: that is ended, and the process can be."""

    class Failing(Journal):
        async def still_held(self, order_ids: Iterable[str]) -> list[str]:
            await eventually((host.notes / "pid").exists)
            raise StoreError("disk I/O error")

    host.script("hang.sh", HANGS_AT_THE_END)
    await host.carry_out(host.order("hang.sh", timeout=600.0))
    host.close()
    before = set(threading.enumerate())
    with pytest.raises(StoreError):
        await lift_here(settings(host, patience=1.0), LiftRequest(target=ATTACKER), parts(host, Failing))
    assert not host.lives("pid")
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not [each.name for each in set(threading.enumerate()) - before if "actions" in each.name]


async def test_a_trial_first_ends_what_an_agent_that_was_killed_had_at_work(host: ScriptHost) -> None:
    """Else both would be at work on the same target."""
    script = host.script("note.sh", NOTES)
    hanging = host.script("hang.sh", "sleep 60\n")
    host.close()
    left = left_by_an_agent(host, hanging)
    try:
        await eventually(lambda: str(hanging) in Path(f"/proc/{left.pid}/cmdline").read_text())
        answer = await try_here(settings(host), TrialRequest(action=script.name, target=ATTACKER), parts(host))
        assert answer.works
        assert left.wait(5) == -signal.SIGKILL
    finally:
        with suppress(ProcessLookupError):
            os.killpg(left.pid, signal.SIGKILL)
        left.wait()
