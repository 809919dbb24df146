"""A host with scripts: real files, started for real; the firewall is the one that keeps books."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.actions.scripts.scripts import Scripts
from agent.actions.slow_actions import BuiltIn, SlowActions
from agent.actions.tools.process import Limits
from agent.admission import Admission
from agent.executor import Executor
from agent.journal.journal import Journal
from agent.journal.schema import SCHEMA
from agent.journal.taking import Incoming
from agent.metrics import AgentMetrics
from shared.messages import Acknowledgement, Expiry, Order
from shared.settings import HostSettings
from shared.store import Store
from shared.targets import Allowlist
from tests.unit.a_host import AGENT, AHost, KilledJournal

ALERT = {"id": "1.2", "rule": {"id": "5712", "level": 10}, "data": {"srcip": "203.0.113.9", "srcuser": "root"}}
PROTECTED = "198.51.100.7"
WORKERS = 2
SH = """#!/bin/sh
cd {folder}
"""
PYTHON = """#!/usr/bin/python3
import json, os, subprocess, sys, time
os.chdir({folder!r})
def note(line): print(line.strip(), file=open("said", "a"))
def heard():
    line = sys.stdin.readline()
    note(line)
    return json.loads(line)["command"] if line else "nothing"
def ask():
    print(json.dumps({{"version": 1, "origin": {{"name": "x", "module": "active-response"}}, "command": "check_keys",
                      "parameters": {{"keys": ["203.0.113.9"]}}}}), flush=True)
"""


class ScriptHost(AHost):
    """Its scripts write what they are told into `said`, a line each, beside themselves."""

    def __init__(self, folder: Path, limits: Limits, built_in: Sequence[BuiltIn] = ()) -> None:
        self.limits, self.built_in = limits, built_in
        self.scripts_folder = folder / "scripts"
        self.scripts_folder.mkdir(mode=0o755)
        self.notes = folder / "notes"
        self.notes.mkdir()
        self.settings = HostSettings(scripts=str(self.scripts_folder), state_dir=str(folder))
        super().__init__(folder)

    def _open(self) -> None:
        self.store = Store(self.path, SCHEMA)
        self.journal: Journal = KilledJournal(self.store, AGENT, self.boot_id, self.clock)
        self.metrics = AgentMetrics()
        self.scripts = Scripts(self.settings, AGENT, self.limits)
        self.slow = SlowActions(self.built_in, self.scripts)
        actions = {self.action.name: self.action}
        self.executor = Executor(
            self.journal,
            actions,
            metrics=self.metrics,
            trouble=self.trouble,
            slow=self.slow,
            workers=WORKERS,
        )
        allow = Allowlist.of([PROTECTED], "ours")
        self.admission = Admission(AGENT, (), actions, allow=allow, automatic=lambda: Allowlist(), slow=self.slow)

    def close(self) -> None:
        self.scripts.stop()
        super().close()

    def incoming(self, order: Order) -> Incoming:
        (judged,) = self.admission.judge([order])
        assert isinstance(judged, Incoming)
        return judged

    def script(self, name: str, text: str, head: str = SH) -> Path:
        """Puts a script into the folder."""
        path = self.scripts_folder / name
        path.write_text(head.format(folder=str(self.notes)) + text)
        path.chmod(0o755)
        return path

    def order(self, name: str, order_id: str = "o1", **said: Any) -> Order:
        """For a script; a one-shot without a timeout, as managers send it."""
        said.setdefault("timeout", None)
        if said["timeout"] is None:
            said.setdefault("deadline", self.clock.wall() + 60.0)
        return self.add(order_id, action=name, **{"alert": ALERT, **said})

    async def carry_out(self, *orders: Order) -> None:
        """Takes them, and returns when there is nothing more to do."""
        await self.take(*orders)
        await self.errands()

    async def errands(self) -> None:
        """Returns when nothing is under way and nothing can be started."""
        await self.turns()
        while True:
            await self.executor.errands.begin()
            if not self.executor.errands.out:
                return
            await self.executor.errands.idle()

    async def errands_after(self, seconds: float) -> None:
        self.clock.pass_(seconds)
        await self.errands()

    def said_to(self) -> list[dict[str, Any]]:
        """What scripts were told."""
        said = self.notes / "said"
        return [json.loads(line) for line in said.read_text().splitlines() if line] if said.exists() else []

    def commands(self) -> list[str]:
        return [each["command"] for each in self.said_to()]

    def offers(self) -> dict[str, str]:
        """What heartbeats tell: each script, and why it isn't to be started."""
        return {each.name: each.why_not for each in self.slow.look()}

    def answer(self, order_id: str = "o1") -> Acknowledgement:
        """The one that was given."""
        (answer,) = (each for each in self.said() if isinstance(each, Acknowledgement) and each.order_id == order_id)
        return answer

    def end(self, order_id: str = "o1") -> Expiry:
        (end,) = (each for each in self.said() if isinstance(each, Expiry) and each.order_id == order_id)
        return end

    def note(self, name: str) -> str:
        return (self.notes / name).read_text().strip()

    def lives(self, name: str) -> bool:
        """Whether the process lives whose number is in that note."""
        try:
            state = Path(f"/proc/{self.note(name)}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        return state != "Z"  # nobody has looked after it yet
