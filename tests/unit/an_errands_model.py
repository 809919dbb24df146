"""A host with scripts that change a world which outlives the agent, and that end when they are let and not before.
One slow action is no script: it takes several orders along in one call.

What becomes of a script's run is thrown by dice of its own, so that a seed tells the same story whichever thread is
faster; only when all are let go at once, the order among the lanes is theirs.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from agent.actions.action import Call, Result
from agent.admission import Admission
from agent.executor import Executor
from agent.journal.errands import QUIET
from agent.journal.planning import Name
from agent.journal.schema import SCHEMA
from agent.journal.taking import Incoming
from agent.metrics import AgentMetrics
from shared.messages import Order
from shared.store import Store
from shared.targets import Allowlist
from tests.unit.a_host import AGENT, AHost, KilledJournal
from tests.waiting import eventually

FIREWALL = "firewall-drop"
SCRIPTS = ("first.sh", "second.sh")
NOTIFIER = "notify"
AT_ONCE = 3  # orders that the notifier takes along
WORKERS = 2
HANGS = 20.0  # s until a script that nobody lets go on gives up
ENOUGH = 400  # rounds, in each of which something is done
_HELD = "SELECT order_id FROM holders WHERE adopted = 0"
_IN_FORCE = "SELECT DISTINCT action, key FROM holders"
_KNOWN = "SELECT action, key FROM effects"
_TAKEN = "SELECT action FROM orders WHERE status IS NULL AND slow = 1 AND key != ''"


class World:
    """What scripts have changed. Each waits at a gate of its lane, and goes on when it is let."""

    def __init__(self, seed: int, failing: float) -> None:
        self.seed, self.failing = seed, failing
        self.changed: set[Name] = set()
        self.told: set[Name] = set()  # by a one-shot: a script is told `add` in the same words when it is to be held
        self.wrong: list[str] = []
        self.one_shots: Counter[str] = Counter()  # by order, how often started
        self.process = 0  # that of the agent that lives; scripts of an earlier one were killed with it
        self.are_held = True
        self._gates: dict[Name, threading.Event] = {}
        self._runs: Counter[Name] = Counter()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> list[Name]:
        """The lanes in which a script waits."""
        with self._lock:
            return sorted(lane for lane, gate in self._gates.items() if not gate.is_set())

    def let_go_on(self, lane: Name) -> None:
        with self._lock:
            self._gates[lane].set()

    def hold(self, are_held: bool) -> None:
        """Whether scripts wait from now on; if not, those that do go on."""
        with self._lock:
            self.are_held = are_held
            for gate in [] if are_held else self._gates.values():
                gate.set()

    def kill(self) -> None:
        """The agent dies, and its scripts: some had done their work."""
        with self._lock:
            self.process += 1
            for gate in self._gates.values():
                gate.set()

    def run(self, process: int, command: str, action: str, calls: Sequence[Call]) -> list[Result]:
        """In a worker's thread; what goes together has one gate."""
        with self._lock:
            if process != self.process:
                return [Result(key=call.key, problem="killed before it began") for call in calls]
            self._look_at(action, calls)
            dice = [self._dice((action, call.key)) for call in calls]
            gate = threading.Event()
            for call in calls:
                self._enter((action, call.target or call.key), gate, command, call)
        gate.wait(HANGS)
        with self._lock:
            for call in calls:
                self._gates.pop((action, call.target or call.key), None)
            return [
                self._end(thrown, process, command, (action, call.key), call)
                for thrown, call in zip(dice, calls, strict=True)
            ]

    def _look_at(self, action: str, calls: Sequence[Call]) -> None:
        if len(calls) > (AT_ONCE if action == NOTIFIER else 1):
            self.wrong.append(f"{len(calls)} at once for {action}")
        if action == NOTIFIER and any(name == NOTIFIER for name, _ in self._gates):
            self.wrong.append("two calls of the notifier at once")

    def _dice(self, name: Name) -> Random:
        self._runs[name] += 1
        return Random(f"{self.seed}/{name}/{self._runs[name]}")

    def _enter(self, lane: Name, gate: threading.Event, command: str, call: Call) -> None:
        if lane in self._gates:
            self.wrong.append(f"two at once for {lane}")
        if command == "add" and not call.lasting:
            self.one_shots[call.alert["id"]] += 1
        self._gates[lane] = gate
        if not self.are_held:
            gate.set()

    def _end(self, dice: Random, process: int, command: str, name: Name, call: Call) -> Result:
        was_killed = process != self.process
        if was_killed and dice.random() < 0.4:
            return Result(key=call.key, problem="killed before it had changed anything")
        if not was_killed and dice.random() < self.failing:
            return Result(key=call.key, problem="failed", exit_code=1)
        if command == "delete":
            self.changed.discard(name)
            self.told.discard(name)
        else:
            (self.changed if call.lasting else self.told).add(name)
        return Result(key=call.key, exit_code=0, happened=command == "add" and not call.lasting)


class Script:
    """A slow action, of one process of the agent."""

    backend = "script"

    def __init__(self, name: str, world: World, process: int) -> None:
        self.name, self._world, self._process = name, world, process
        self.just_happens, self.at_once = name == NOTIFIER, AT_ONCE if name == NOTIFIER else 1

    def key(self, target: str, arguments: Sequence[str], order_id: str) -> str:
        return msgspec.json.encode([target, *arguments, "" if target and not self.just_happens else order_id]).decode()

    def prepare(self, arguments: Sequence[str]) -> None:
        pass

    def apply(self, calls: Sequence[Call]) -> list[Result]:
        return self._world.run(self._process, "add", self.name, calls)

    def revert(self, calls: Sequence[Call]) -> list[Result]:
        return self._world.run(self._process, "delete", self.name, calls)

    def resumed(self, call: Call) -> None:
        pass


class Scripts:
    """All that one process of the agent has."""

    def __init__(self, world: World) -> None:
        self._world, self._process = world, world.process

    def get(self, name: str) -> Script | None:
        return Script(name, self._world, self._process) if name in (*SCRIPTS, NOTIFIER) else None

    def at_once(self, name: str) -> int:
        return AT_ONCE if name == NOTIFIER else 1

    def stop(self) -> None:
        self._world.kill()


class ErrandsHost(AHost):
    """A firewall that keeps books, and scripts that wait."""

    def __init__(self, folder: Path, world: World) -> None:
        self.world = world
        super().__init__(folder)

    def _open(self) -> None:
        self.store = Store(self.path, SCHEMA)
        self.journal = KilledJournal(self.store, AGENT, self.boot_id, self.clock)
        self.metrics = AgentMetrics()
        actions, slow = {self.action.name: self.action}, Scripts(self.world)
        self.executor = Executor(
            self.journal, actions, metrics=self.metrics, trouble=self.trouble, slow=slow, workers=WORKERS
        )
        self.errands = self.executor.errands
        self.admission = Admission(AGENT, (), actions, allow=Allowlist(), automatic=lambda: Allowlist(), slow=slow)

    def incoming(self, order: Order) -> Incoming:
        (judged,) = self.admission.judge([order])
        assert isinstance(judged, Incoming)
        return judged

    async def begin(self) -> None:
        """Returns when every script that was started waits."""
        await self.errands.begin()
        await eventually(self._all_wait)

    async def let_go_on(self, lane: Name) -> None:
        """One script ends; if its errand has a second run, for what comes after a revert, that one begins."""
        self.world.let_go_on(lane)
        await eventually(self._all_wait)

    def _all_wait(self) -> bool:
        """What is out has come as far as it can. What was interrupted isn't begun again, but may go with what is."""
        out = [each for task, some in self.errands._out.items() if not task.done() for each in some]
        begun = sorted(each.lane for each in out if each.work.apply or each.work.revert)
        return self.world.waiting == begun or bool(self.world.wrong)

    async def settle(self) -> None:
        """Returns when nothing is under way and nothing can be started; scripts wait for nobody."""
        self.world.hold(False)
        for _ in range(ENOUGH):
            self.errands.work.clear()
            await self.turns()
            await self.errands.begin()
            await self.errands.idle()
            if self.errands.work.is_set():
                continue
            if self.gathers():
                self.clock.pass_(QUIET)
            else:
                self.world.hold(True)
                return
        raise AssertionError("there is always more to do")

    def gathers(self) -> bool:
        """Whether something waits for company."""
        return any(action == NOTIFIER for (action,) in self._rows(_TAKEN))

    async def kill(self) -> None:
        """What is out dies unsettled."""
        await self.errands.end(0.0)

    def held(self) -> set[str]:
        """The orders that hold something."""
        return {order_id for (order_id,) in self._rows(_HELD)}

    def wanted(self) -> set[Name]:
        """What is to be in force, by the journal."""
        return set(self._rows(_IN_FORCE))

    def known(self) -> set[Name]:
        """What the journal looks after, in force or left over."""
        return set(self._rows(_KNOWN))

    def found(self) -> set[Name]:
        """What is in force, by the firewall and the scripts' world. What a one-shot did counts where it is held: by the
        boot before, after which it had to be done again.
        """
        return self.world.changed | (self.world.told & self.wanted()) | {(FIREWALL, key) for key in self.in_force()}

    def _rows(self, sql: str) -> list[Any]:
        return self.store.run_now(lambda c: [tuple(row) for row in c.execute(sql)])
