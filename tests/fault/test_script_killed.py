"""The agent is killed, with SIGKILL, while scripts are at work."""

import time
from pathlib import Path
from typing import Any

import pytest

from shared.messages import Order
from tests.fault import promise
from tests.fault.a_fleet import Agent, Fleet
from tests.integration.an_agent import an_order
from tests.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.broker]

# Says what it was told and who it is; then `add` takes until it is let go.
SCRIPT = """#!/bin/sh
read -r line
case $line in *'"command":"add"'*) command=add;; *) command=delete;; esac
echo "$command $$" >> {folder}/said
while [ $command = add ] && [ ! -e {folder}/go ]; do sleep 0.05; done
"""


class Scripts:
    """Two scripts on an agent's host, and what they were told."""

    def __init__(self, folder: Path, agent: Agent) -> None:
        scripts = folder / "scripts"
        scripts.mkdir(mode=0o755)
        self._notes = {name: folder / name for name in ("hold.sh", "once.sh")}
        for name, notes in self._notes.items():
            notes.mkdir()
            (scripts / name).write_text(SCRIPT.format(folder=notes))
            (scripts / name).chmod(0o755)
        agent.environment["THWART_AGENT_SCRIPTS"] = str(scripts)

    def told(self, name: str) -> list[str]:
        """The commands."""
        return [command for command, _ in self._said(name)]

    def lives(self, name: str) -> bool:
        """Whether any of its processes does."""
        return any(Path(f"/proc/{number}/cmdline").exists() and _words(number) for _, number in self._said(name))

    def let_go(self) -> None:
        """What waits ends, and what comes doesn't wait."""
        for notes in self._notes.values():
            (notes / "go").touch()

    def _said(self, name: str) -> list[list[str]]:
        said = self._notes[name] / "said"
        return [line.split() for line in said.read_text().splitlines()] if said.exists() else []


def test_killed_mid_script(fleet: Fleet, tmp_path: Path) -> None:
    """What lasts is done again by the next run, and ends on time; what just happens is not, and its answer says so.

    What the killed one had started is not at work beside what the next one starts.
    """
    agent = fleet.agent("web1")
    scripts = Scripts(tmp_path, agent)
    agent.start()
    fleet.know(agent)
    lasting = an_order("lasting", action="hold.sh", timeout=6.0)
    one_shot = _one_shot("one-shot")
    fleet.orders(agent, lasting, one_shot)
    wait_for(lambda: scripts.told("hold.sh") == scripts.told("once.sh") == ["add"])
    agent.process.kill()
    assert scripts.lives("hold.sh")
    assert scripts.lives("once.sh")
    agent.start()
    wait_for(lambda: scripts.told("hold.sh") == ["add", "add"], promise.PATIENCE)
    assert not scripts.lives("once.sh")
    scripts.let_go()
    wait_for(lambda: agent.answers(lasting) and agent.answers(one_shot), promise.PATIENCE)
    promise.answered(lasting, "applied", agent)
    promise.answered(one_shot, "failed", agent)
    assert agent.answers(one_shot)[0].detail.startswith("interrupted: ")
    wait_for(lambda: agent.ends(lasting), promise.PATIENCE)
    fleet.all_is_said()
    end = promise.the_one(agent.ends(lasting))
    assert (end.cause, end.outcome) == ("timeout", "reverted")
    assert lasting.expires_at is not None
    assert -promise.EARLY < end.at - lasting.expires_at < promise.LATE
    assert scripts.told("hold.sh") == ["add", "add", "delete"]
    assert scripts.told("once.sh") == ["add"]


def _one_shot(order_id: str) -> Order:
    said: dict[str, Any] = {"action": "once.sh", "deadline": time.time() + 60.0}
    return an_order(order_id, "", None, **said)


def _words(number: str) -> bytes:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes()  # empty: a zombie
    except OSError:
        return b""
